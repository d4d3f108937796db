import type { Redis } from "ioredis";
import { batched } from "../util/batch.ts";
import type { Change } from "../events/event.ts";
import type { JournalKeys } from "../journal/keys.ts";
import { parseRoom } from "../vocabulary/ordering-key.ts";
import { script } from "../redis/redis.ts";
import { storeClear } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import type { Micros } from "../util/time.ts";

/** What is said of a unit or an incident is kept for so long after the last word of it, ms. */
const STATE_KEPT_MS = 30 * 24 * 3_600_000;

/**
 * KEYS[1] the base name, ARGV: kept_ms, then for each change: kind, id, aspect, at (us), text. A value that is older than the
 * one that stands there changes nothing. Each aspect has its value, and when that came about under '@' + the aspect's name.
 * Each call also looks at one of each list: one of which nothing is kept any more leaves it, so that lists do not grow for ever.
 */
const APPLY = `#!lua
local base, answers = KEYS[1], {}
for i = 2, #ARGV, 5 do
  local kind, id, aspect, at, text = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local key = base .. ':state:' .. kind .. ':' .. id
  local before = redis.call('HGET', key, '@' .. aspect)
  local newer = not before or tonumber(at) >= tonumber(before)
  if newer then
    redis.call('HSET', key, aspect, text, '@' .. aspect, at)
    redis.call('ZADD', base .. ':all:' .. kind, 0, id)
  end
  redis.call('PEXPIRE', key, ARGV[1])
  answers[#answers + 1] = newer and 1 or 0
end
for _, kind in ipairs({'unit', 'incident'}) do
  local id = redis.call('ZRANDMEMBER', base .. ':all:' .. kind)
  if id and redis.call('EXISTS', base .. ':state:' .. kind .. ':' .. id) == 0 then
    redis.call('ZREM', base .. ':all:' .. kind, id)
  end
end
return answers`;

/** Aspects that stand in the clear: lists are filtered by them, and they say nothing of a patient. */
export const CLEAR_ASPECTS: ReadonlySet<string> = new Set(["status"]);

/** What a state's aspect is sealed with: so that it is no other's, of no other bridge and of no other time. */
export const stateSealId = (keys: JournalKeys, about: string, aspect: string, at: Micros): string =>
  JSON.stringify([keys.cad, about, aspect, at]);

/** Notes what an event says of a unit or an incident; answers false if something newer is known already. */
export type ApplyChange = (change: Change, at: Micros) => Promise<boolean>;

export function openStateWriter(redis: Redis, keys: JournalKeys, sealer: Sealer): ApplyChange {
  const apply = script(redis, "stateApply", APPLY, [keys.cad]);
  const applyBatch = batched(async (changes: readonly string[][]) => {
    const answers = await apply(STATE_KEPT_MS, ...changes.flat());
    return Array.isArray(answers) ? answers : [];
  });
  return async ({ about, aspect, value }, at) => {
    const { kind, id } = parseRoom(about);
    const clear = JSON.stringify(value ?? null);
    const sealId = stateSealId(keys, about, aspect, at);
    const text = CLEAR_ASPECTS.has(aspect)
      ? storeClear(sealer, "state", sealId, clear)
      : await sealer.seal("state", sealId, clear);
    return (await applyBatch([kind, id, aspect, String(at), text])) === 1;
  };
}
