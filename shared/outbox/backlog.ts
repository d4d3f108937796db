import type { Redis } from "ioredis";
import { defineScript, openScript, type ScriptReply } from "../redis/script.ts";
import type { OutboxKeys } from "../redis/keys.ts";
import type { Micros } from "../util/time.ts";

/** What the outbox holds now. */
export interface Backlog {
  now: Micros;
  unsettled: number;
  /** Of their payloads and ordering keys, as stored. */
  unsettledBytes: number;
  dead: number;
  /** Dead letters that hold their place, and what waits behind them. */
  held: Held;
  oldestUnsettled: Micros | undefined;
  /** When the longest-neglected runnable message became runnable, or was last begun. */
  oldestRunnable: Micros | undefined;
  /** How many messages were accepted, since ever. */
  accepted: number;
  /** How many messages reached each final state, since ever. */
  counts: Record<string, number>;
  /** Accepted, and neither settled nor waiting: 0 unless something was lost. Exact: all is read in one step. */
  unaccounted: number;
}

export interface Held {
  count: number;
  /** Since when the first of them has. */
  since: Micros | undefined;
  /** How many commands wait in the same queues: exact up to MOST_BEHIND, and at least that many beyond. */
  behind: number;
}

/** Maximum number of commands counted behind held dead letters: Redis serves nobody else meanwhile. */
export const MOST_BEHIND = 2000;

/** One step, so that the numbers fit each other. */
const BACKLOG = defineScript(
  "outboxBacklog",
  {},
  `#!lua flags=no-writes,allow-oom
local base = KEYS[1]
local clock = redis.call('TIME')
local seen, behind, looked = {}, 0, 0
for _, id in ipairs(redis.call('ZRANGE', base .. ':held', 0, 999)) do
  for _, key in ipairs(cjson.decode(redis.call('HGET', base .. ':record:' .. id, 'keys') or '[]')) do
    if looked >= ${MOST_BEHIND} then break end
    for _, one in ipairs(redis.call('LRANGE', base .. ':line:' .. key, 1, ${MOST_BEHIND} - looked)) do
      looked = looked + 1
      if not seen[one] then seen[one], behind = true, behind + 1 end
    end
  end
end
return {
  string.format('%.0f', clock[1] * 1000000 + clock[2]),
  redis.call('ZCARD', base .. ':open'),
  redis.call('HGET', base .. ':waiting', 'all:bytes') or '0',
  redis.call('ZCARD', base .. ':dead'),
  redis.call('ZRANGE', base .. ':open', 0, 0, 'WITHSCORES'),
  redis.call('ZRANGE', base .. ':runnable', 0, 0, 'WITHSCORES'),
  redis.call('HGETALL', base .. ':counts'),
  {redis.call('ZCARD', base .. ':held'), behind, redis.call('ZRANGE', base .. ':held', 0, 0, 'WITHSCORES')[2] or ''},
}`,
);

/** Reads what an outbox holds. */
export function openBacklog(redis: Redis, keys: OutboxKeys): () => Promise<Backlog> {
  const read = openScript(redis, BACKLOG, [keys.base, keys.cad]);
  return async () => {
    const reply = await read();
    const [now, unsettled, bytes, dead, open, runnable, counts, held] = Array.isArray(reply) ? reply : [];
    const { accepted: counted, ...settled } = numbersOf(counts);
    const known = Object.values(settled).reduce((sum, n) => sum + n, Number(unsettled));
    // A store from before acceptances were counted begins with what it holds.
    const accepted = counted ?? known;
    return {
      now: Number(now),
      unsettled: Number(unsettled),
      unsettledBytes: Number(bytes),
      dead: Number(dead),
      held: heldOf(held),
      oldestUnsettled: scoreOf(open),
      oldestRunnable: scoreOf(runnable),
      accepted,
      counts: settled,
      unaccounted: accepted - known,
    };
  };
}

function heldOf(reply: ScriptReply | undefined): Held {
  const [count, behind, since] = Array.isArray(reply) ? reply : [];
  return { count: Number(count ?? 0), behind: Number(behind ?? 0), since: since ? Number(since) : undefined };
}

const scoreOf = (range: ScriptReply | undefined): number | undefined =>
  Array.isArray(range) && range[1] !== undefined ? Number(range[1]) : undefined;

/** Names and numbers in turn, as HGETALL answers within a script. */
export function numbersOf(pairs: ScriptReply | undefined): Record<string, number> {
  const flat = Array.isArray(pairs) ? pairs : [];
  return Object.fromEntries(
    flat.flatMap((name, i): [string, number][] => (i % 2 === 0 ? [[String(name), Number(flat[i + 1])]] : [])),
  );
}
