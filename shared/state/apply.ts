import type { Redis } from "ioredis";
import { batched } from "../util/batch.ts";
import type { Change } from "../events/event.ts";
import type { JournalKeys } from "../journal/keys.ts";
import { parseRoom } from "../vocabulary/ordering-key.ts";
import { jsonArgument, script } from "../redis/redis.ts";
import { storeClear } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import type { Micros } from "../util/time.ts";

/** How long the state of a unit or an incident is kept after its last event, ms. */
const STATE_KEPT_MS = 30 * 24 * 3_600_000;

/**
 * KEYS[1]: the base name. ARGV[1]: JSON with `keptMs` and `changes`, each with `kind`, `id`, `aspect`, `at` (us, as text) and
 * `text`. A value older than the stored one is ignored. Each aspect has a field for its value, and one for its time under '@' + the
 * aspect's name. Each call also removes one id without a record from each list, so that lists do not grow forever.
 */
const APPLY = `#!lua
local base, answers, ask = KEYS[1], {}, cjson.decode(ARGV[1])
for _, change in ipairs(ask.changes) do
  local key = base .. ':state:' .. change.kind .. ':' .. change.id
  local before = redis.call('HGET', key, '@' .. change.aspect)
  local newer = not before or tonumber(change.at) >= tonumber(before)
  if newer then
    redis.call('HSET', key, change.aspect, change.text, '@' .. change.aspect, change.at)
    redis.call('ZADD', base .. ':all:' .. change.kind, 0, change.id)
  end
  redis.call('PEXPIRE', key, ask.keptMs)
  answers[#answers + 1] = newer and 1 or 0
end
for _, kind in ipairs({'unit', 'incident'}) do
  local id = redis.call('ZRANDMEMBER', base .. ':all:' .. kind)
  if id and redis.call('EXISTS', base .. ':state:' .. kind .. ':' .. id) == 0 then
    redis.call('ZREM', base .. ':all:' .. kind, id)
  end
end
return answers`;

/** Aspects stored unencrypted, since lists are filtered by them; they contain no patient data. */
export const CLEAR_ASPECTS: ReadonlySet<string> = new Set(["status"]);

/** The additional data of an aspect: it cannot be moved to another record, bridge or time. */
export const stateSealId = (keys: JournalKeys, about: string, aspect: string, at: Micros): string =>
  JSON.stringify([keys.cad, about, aspect, at]);

/** Applies an event's change to a unit or an incident; resolves to false if a newer value is stored. */
export type ApplyChange = (change: Change, at: Micros) => Promise<boolean>;

export function openStateWriter(redis: Redis, keys: JournalKeys, sealer: Sealer): ApplyChange {
  const apply = script(redis, "stateApply", APPLY, [keys.cad]);
  const applyBatch = batched(async (changes: readonly Readonly<Record<string, string>>[]) => {
    const answers = await apply(jsonArgument({ keptMs: STATE_KEPT_MS, changes }));
    return Array.isArray(answers) ? answers : [];
  });
  return async ({ about, aspect, value }, at) => {
    const { kind, id } = parseRoom(about);
    const clear = JSON.stringify(value ?? null);
    const sealId = stateSealId(keys, about, aspect, at);
    const text = CLEAR_ASPECTS.has(aspect)
      ? storeClear(sealer, "state", sealId, clear)
      : await sealer.seal("state", sealId, clear);
    return (await applyBatch({ kind, id, aspect, at: String(at), text })) === 1;
  };
}
