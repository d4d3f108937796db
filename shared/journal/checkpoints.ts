import type { Redis } from "ioredis";
import { NotOwner } from "../outbox/owned.ts";
import { jsonArgument, script } from "../redis/redis.ts";
import { openClear, openIfAuthentic, storeClear } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import { parseJson } from "../util/json.ts";
import type { JournalKeys } from "./keys.ts";

/** The result of a handler for an entry. */
export interface Handled {
  handler: string;
  /** `declined`: it read the entry, and it does not concern the handler. */
  outcome: "done" | "failed" | "declined";
  /** How long its last try took, ms. */
  durationMs: number;
  tries: number;
  /** Why it failed: never a payload. */
  error?: string;
  /** Why it declined: never a payload. */
  reason?: string;
}

/** How far each handler is in the journal, and its result for each entry that it handles. */
export interface Checkpoints {
  /** The entry up to which the handler is done; undefined if it never ran. Throws SealError. */
  cursor(handler: string): Promise<string | undefined>;
  /** Stores outcomes and the cursor. Throws NotOwner: a worker that was frozen must not set back its successor. */
  note(handler: string, outcomes: readonly (Handled & { entry: string })[], cursor: string): Promise<void>;
}

/**
 * KEYS[1]: the base name. ARGV[1]: JSON with `token` of the lease, `keptMs`, `maxEntries` of the journal, `handler`, `cursor` and
 * `outcomes`, each with `entry` (its id) and `outcome` (as JSON text).
 *
 * A full journal drops its oldest entries long before their time, and outcomes should not outlive their entries by far: they are
 * then kept twice as long as the journal reaches back, since fewer events may come than did.
 */
const NOTE = `#!lua
local base, ask = KEYS[1], cjson.decode(ARGV[1])
local kept = ask.keptMs
local journal = base .. ':journal'
if redis.call('GET', base .. ':owner') ~= ask.token then return 0 end
if #ask.outcomes > 0 and redis.call('XLEN', journal) >= ask.maxEntries then
  local oldest = redis.call('XRANGE', journal, '-', '+', 'COUNT', 1)[1]
  local reach = redis.call('TIME')[1] * 1000 - string.match(oldest[1], '^%d+')
  kept = math.min(kept, math.max(2 * reach, 1000))
end
for _, done in ipairs(ask.outcomes) do
  local handled = base .. ':handled:' .. done.entry
  redis.call('HSET', handled, ask.handler, done.outcome)
  redis.call('PEXPIRE', handled, string.format('%.0f', kept))
end
redis.call('HSET', base .. ':cursors', ask.handler, ask.cursor)
return 1`;

/**
 * @param token of the lease; nobody else may write
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
      const ask = { token, keptMs, maxEntries, handler, cursor: stored, outcomes: noted };
      if ((await write(jsonArgument(ask))) !== 1) throw new NotOwner();
    },
  };
}

const handledId = (keys: JournalKeys, entry: string, handler: string): string =>
  JSON.stringify([keys.handled(entry), handler]);

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

/**
 * The results of the handlers for an entry, without those that do not handle it or have not reached it yet.
 * @param onForged called for a result that the worker did not store: it is left out
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
