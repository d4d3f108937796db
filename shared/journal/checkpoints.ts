import type { Redis } from "ioredis";
import { NotOwner } from "../outbox/owned.ts";
import { defineScript, integer, objects, openScript, string } from "../redis/script.ts";
import { openClear, openIfAuthentic, storeClear } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import { parseJson } from "../util/json.ts";
import type { JournalKeys } from "./keys.ts";

/** A handler's result for an entry. */
export interface Handled {
  handler: string;
  /** `declined`: the entry does not concern the handler. */
  outcome: "done" | "failed" | "declined";
  /** Duration of the last attempt, ms. */
  durationMs: number;
  tries: number;
  /** Why it failed; never a payload. */
  error?: string;
  /** Why it declined; never a payload. */
  reason?: string;
}

/** Each handler's position in the journal, and its result for each entry that it handles. */
export interface Checkpoints {
  /** The last entry the handler has finished; undefined if it never ran. Throws SealError. */
  cursor(handler: string): Promise<string | undefined>;
  /** Stores results and the cursor. Throws NotOwner: a worker that was frozen must not set its successor back. */
  note(handler: string, outcomes: readonly (Handled & { entry: string })[], cursor: string): Promise<void>;
}

/**
 * KEYS[1]: the base name. `maxEntries`: of the journal; `entry`: its id; `outcome`: JSON, as it is stored.
 *
 * A full journal drops its oldest entries long before their time, and results should not outlive entries by far: they are kept
 * twice as long as the journal reaches back, since the event rate may fall.
 */
const NOTE = defineScript(
  "consumerNote",
  {
    ...{ token: string, keptMs: integer, maxEntries: integer, handler: string, cursor: string },
    outcomes: objects("handled", { entry: string, outcome: string }),
  },
  `#!lua
local base, kept = KEYS[1], args.keptMs
local journal = base .. ':journal'
if redis.call('GET', base .. ':owner') ~= args.token then return 0 end
if #args.outcomes > 0 and redis.call('XLEN', journal) >= args.maxEntries then
  local oldest = redis.call('XRANGE', journal, '-', '+', 'COUNT', 1)[1]
  local reach = redis.call('TIME')[1] * 1000 - string.match(oldest[1], '^%d+')
  kept = math.min(kept, math.max(2 * reach, 1000))
end
for _, handled in ipairs(args.outcomes) do
  local key = base .. ':handled:' .. handled.entry
  redis.call('HSET', key, args.handler, handled.outcome)
  redis.call('PEXPIRE', key, string.format('%.0f', kept))
end
redis.call('HSET', base .. ':cursors', args.handler, args.cursor)
return 1`,
);

/**
 * @param token of the lease; only its holder may write
 * @param keptMs as for the journal's entries
 * @param maxEntries as for the journal
 */
export function openCheckpoints(
  redis: Redis,
  keys: JournalKeys,
  sealer: Sealer,
  token: string,
  keptMs: number,
  maxEntries: number,
): Checkpoints {
  const write = openScript(redis, NOTE, [keys.cad]);
  return {
    cursor: (handler) => readCursor(redis, keys, sealer, handler),
    async note(handler, outcomes, cursor) {
      const noted = outcomes.map(({ entry, outcome, durationMs, tries, error, reason }) => ({
        entry,
        outcome: storeClear(
          sealer,
          "handled",
          handledId(keys, entry, handler),
          JSON.stringify({ outcome, durationMs, tries, error, reason }),
        ),
      }));
      const stored = storeClear(sealer, "cursor", cursorId(keys, handler), cursor);
      const args = { token, keptMs, maxEntries, handler, cursor: stored, outcomes: noted };
      if ((await write(args)) !== 1) throw new NotOwner();
    },
  };
}

const handledId = (keys: JournalKeys, entry: string, handler: string): string =>
  JSON.stringify([keys.handled(entry), handler]);

const cursorId = (keys: JournalKeys, handler: string): string => JSON.stringify([keys.cursors, handler]);

/** See Checkpoints.cursor. Verified, since a cursor moved forward in Redis would hide events. Throws SealError. */
export async function readCursor(
  redis: Redis,
  keys: JournalKeys,
  sealer: Sealer,
  handler: string,
): Promise<string | undefined> {
  const stored = await redis.hget(keys.cursors, handler);
  return stored === null ? undefined : openClear(sealer, "cursor", cursorId(keys, handler), stored);
}

/**
 * The handlers' results for an entry, without those that do not handle it or have not reached it.
 * @param onForged called for a result not stored by the worker, which is left out
 */
export async function readHandled(
  redis: Redis,
  keys: JournalKeys,
  sealer: Sealer,
  entry: string,
  onForged: () => void = () => undefined,
): Promise<Handled[]> {
  const outcomes = await redis.hgetall(keys.handled(entry));
  return Object.entries(outcomes).flatMap(([handler, stored]) => {
    const text = openIfAuthentic(sealer, "handled", handledId(keys, entry, handler), stored, onForged);
    const noted = text === undefined ? undefined : parseJson(text);
    return noted ? [{ handler, ...(noted as Omit<Handled, "handler">) }] : [];
  });
}
