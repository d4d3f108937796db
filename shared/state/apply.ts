import type { Redis } from "ioredis";
import { batched } from "../util/batch.ts";
import type { Change } from "../events/event.ts";
import type { JournalKeys } from "../journal/keys.ts";
import { parseRoom } from "../vocabulary/ordering-key.ts";
import { type ArgumentsOf, defineScript, integer, objects, openScript, string } from "../redis/script.ts";
import { storeClear } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import type { Micros } from "../util/time.ts";

/** How long the state of a unit or an incident is kept after its last event, ms. */
const STATE_KEPT_MS = 30 * 24 * 3_600_000;

/** `text`: as it is stored; `at`: us. */
const CHANGE = { kind: string, id: string, aspect: string, at: string, text: string } as const;

/**
 * KEYS[1]: the base name. A value older than the stored one is ignored. Each aspect has a field for its value, and one for its
 * time under '@' + the aspect's name. Each call also removes one id without a record from each list, so that lists do not grow
 * forever.
 */
const APPLY = defineScript(
  "stateApply",
  { keptMs: integer, changes: objects("change", CHANGE) },
  `#!lua
local base, answers = KEYS[1], {}
for _, change in ipairs(args.changes) do
  local key = base .. ':state:' .. change.kind .. ':' .. change.id
  local before = redis.call('HGET', key, '@' .. change.aspect)
  local newer = not before or tonumber(change.at) >= tonumber(before)
  if newer then
    redis.call('HSET', key, change.aspect, change.text, '@' .. change.aspect, change.at)
    redis.call('ZADD', base .. ':all:' .. change.kind, 0, change.id)
  end
  redis.call('PEXPIRE', key, args.keptMs)
  answers[#answers + 1] = newer and 1 or 0
end
for _, kind in ipairs({'unit', 'incident'}) do
  local id = redis.call('ZRANDMEMBER', base .. ':all:' .. kind)
  if id and redis.call('EXISTS', base .. ':state:' .. kind .. ':' .. id) == 0 then
    redis.call('ZREM', base .. ':all:' .. kind, id)
  end
end
return answers`,
);

/** Aspects stored unencrypted, since lists are filtered by them; they contain no patient data. */
export const CLEAR_ASPECTS: ReadonlySet<string> = new Set(["status"]);

/** The additional data of an aspect: it cannot be moved to another record, bridge or time. */
export const stateSealId = (keys: JournalKeys, about: string, aspect: string, at: Micros): string =>
  JSON.stringify([keys.cad, about, aspect, at]);

/** Applies an event's change to a unit or an incident; resolves to false if a newer value is stored. */
export type ApplyChange = (change: Change, at: Micros) => Promise<boolean>;

export function openStateWriter(redis: Redis, keys: JournalKeys, sealer: Sealer): ApplyChange {
  const apply = openScript(redis, APPLY, [keys.cad]);
  const applyBatch = batched(async (changes: readonly ArgumentsOf<typeof CHANGE>[]) => {
    const answers = await apply({ keptMs: STATE_KEPT_MS, changes });
    return Array.isArray(answers) ? answers : [];
  });
  return async ({ about, aspect, value }, at) => {
    const { kind, id } = parseRoom(about);
    const clear = JSON.stringify(value ?? null);
    const sealId = stateSealId(keys, about, aspect, at);
    const stored = CLEAR_ASPECTS.has(aspect)
      ? storeClear(sealer, "state", sealId, clear)
      : await sealer.seal("state", sealId, clear);
    return (await applyBatch({ kind, id, aspect, at: String(at), text: stored })) === 1;
  };
}
