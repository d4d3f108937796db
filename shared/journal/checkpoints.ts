import type { Redis } from "ioredis";
import { NotOwner } from "../outbox/owned.ts";
import { script } from "../redis/redis.ts";
import { openClear, storeClear } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import type { JournalKeys } from "./keys.ts";

/** What a handler made of an entry. */
export interface Handled {
  handler: string;
  /** `declined`: it looked into the entry, and has nothing to do with it. */
  outcome: "done" | "failed" | "declined";
  /** How long its last try took, ms. */
  durationMs: number;
  tries: number;
  /** Why it failed: never a payload. */
  error?: string;
  /** Why it declined: never a payload. */
  reason?: string;
}

/** The consumer record of the journal: how far each handler has come, and what it made of each entry that it wanted. */
export interface Checkpoints {
  /** The last entry before which nothing is left to do for the handler; undefined if it never ran. Throws SealError. */
  cursor(handler: string): Promise<string | undefined>;
  /** Notes outcomes, and then the cursor. Throws NotOwner: a worker that was frozen must not set back its successor. */
  note(handler: string, outcomes: readonly (Handled & { entry: string })[], cursor: string): Promise<void>;
}

/**
 * KEYS[1] the base name, ARGV: owner token, kept_ms, most entries of the journal, handler, cursor, then for each entry: its id, the
 * outcome as JSON. A journal that is full drops its oldest long before their time is over, and outcomes are not to outlive them
 * by far: they are kept twice as long as it reaches back then, since less may come than did.
 */
const NOTE = `#!lua
local base, kept, handler = KEYS[1], tonumber(ARGV[2]), ARGV[4]
local journal = base .. ':journal'
if redis.call('GET', base .. ':owner') ~= ARGV[1] then return 0 end
if #ARGV > 5 and redis.call('XLEN', journal) >= tonumber(ARGV[3]) then
  local oldest = redis.call('XRANGE', journal, '-', '+', 'COUNT', 1)[1]
  local reach = redis.call('TIME')[1] * 1000 - string.match(oldest[1], '^%d+')
  kept = math.min(kept, math.max(2 * reach, 1000))
end
for i = 6, #ARGV, 2 do
  local handled = base .. ':handled:' .. ARGV[i]
  redis.call('HSET', handled, handler, ARGV[i + 1])
  redis.call('PEXPIRE', handled, string.format('%.0f', kept))
end
redis.call('HSET', base .. ':cursors', handler, ARGV[5])
return 1`;

/**
 * @param token the owner's; nobody else may note
 * @param keptMs as long as the journal's entries
 * @param maxEntries as many as the journal's
 */
export function openCheckpoints(
  redis: Redis,
  keys: JournalKeys,
  sealer: Sealer,
  token: string,
  keptMs: number,
  maxEntries: number,
): Checkpoints {
  const write = script(redis, "consumerNote", NOTE, [keys.cad]);
  return {
    cursor: (handler) => readCursor(redis, keys, sealer, handler),
    async note(handler, outcomes, cursor) {
      const noted = outcomes.flatMap(({ entry, outcome, durationMs, tries, error, reason }) => [
        entry,
        JSON.stringify({ outcome, durationMs, tries, error, reason }),
      ]);
      const stored = storeClear(sealer, "cursor", cursorId(keys, handler), cursor);
      if ((await write(token, keptMs, maxEntries, handler, stored, ...noted)) !== 1) throw new NotOwner();
    },
  };
}

const cursorId = (keys: JournalKeys, handler: string): string => JSON.stringify([keys.cursors, handler]);

/** See Checkpoints.cursor: one that was moved on in Redis would hide events. Throws SealError. */
export async function readCursor(
  redis: Redis,
  keys: JournalKeys,
  sealer: Sealer,
  handler: string,
): Promise<string | undefined> {
  const stored = await redis.hget(keys.cursors, handler);
  return stored === null ? undefined : openClear(sealer, "cursor", cursorId(keys, handler), stored);
}

/** What the handlers made of an entry; not in it: those that did not want it, or did not come to it yet. */
export async function readHandled(redis: Redis, keys: JournalKeys, entry: string): Promise<Handled[]> {
  const outcomes = await redis.hgetall(keys.handled(entry));
  return Object.entries(outcomes).map(([handler, text]) => ({
    handler,
    ...(JSON.parse(text) as Omit<Handled, "handler">),
  }));
}
