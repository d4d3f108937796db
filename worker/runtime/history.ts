import type { Redis } from "ioredis";
import { KEPT_MINUTES, type MinuteNote } from "../../shared/health/history.ts";
import type { Log } from "../../shared/util/log.ts";
import { FINAL_STATES } from "../../shared/outbox/states.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { defineScript, integer, openScript, string } from "../../shared/redis/script.ts";
import { storeClear } from "../../shared/sealing/clear.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";

export const NOTE_EVERY_MS = 60_000;
const WRITE_MS = 1000;
/** How many times of one minute are kept in memory; of more, a random selection. */
const MAX_TIMES = 1000;

/** Written even when Redis is full: 61 short texts. `most`: how many are kept; `forgetMs`: after which all is forgotten. */
const PUSH = defineScript(
  "historyPush",
  { note: string, most: integer, forgetMs: integer },
  `#!lua flags=allow-oom
redis.call('RPUSH', KEYS[1], args.note)
redis.call('LTRIM', KEYS[1], -args.most, -1)
redis.call('PEXPIRE', KEYS[1], args.forgetMs)`,
);

const round = (ms: number | undefined) => (ms === undefined ? null : Math.round(ms * 10) / 10);

/** Times of one minute, of which the median and the 95th percentile are asked. */
export function createTimes(random: () => number) {
  let times: number[] = [];
  let seen = 0;
  return {
    add(ms: number): void {
      seen += 1;
      if (times.length < MAX_TIMES) times.push(ms);
      else if (random() < MAX_TIMES / seen) times[Math.floor(random() * MAX_TIMES)] = ms;
    },
    /** Begins anew. */
    take(): { p50: number | null; p95: number | null } {
      const sorted = times.toSorted((a, b) => a - b);
      times = [];
      seen = 0;
      const at = (part: number) => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)];
      return { p50: round(at(0.5)), p95: round(at(0.95)) };
    },
  };
}

export interface HistoryOptions {
  redis: Redis;
  keys: OutboxKeys;
  sealer: Sealer;
  ready(): boolean;
  signal: AbortSignal;
  random: () => number;
  log: Log;
}

/** Notes once a minute how many commands were settled and how long that took, for the plots of the admin page. */
export interface HistoryNotes {
  /** Called with the time from a command's acceptance to its final state, ms. */
  settled(ms: number): void;
  run(): Promise<void>;
}

export function createHistory({ redis, keys, sealer, ready, signal, random, log }: HistoryOptions): HistoryNotes {
  const times = createTimes(random);
  const push = openScript(redis, PUSH, [keys.history]);

  async function note(): Promise<void> {
    const [counts, unsettled] = await Promise.all([redis.hgetall(keys.counts), redis.zcard(keys.open)]);
    const settled = Object.fromEntries(
      FINAL_STATES.flatMap((state) => (counts[state] === undefined ? [] : [[state, Number(counts[state])]])),
    );
    const minute: MinuteNote = { at: Date.now(), settled, unsettled, ...times.take(), ready: ready() };
    await push({
      note: storeClear(sealer, "minute", keys.history, JSON.stringify(minute)),
      most: KEPT_MINUTES,
      forgetMs: 2 * KEPT_MINUTES * NOTE_EVERY_MS,
    });
  }

  return {
    settled: times.add,
    async run() {
      while (!signal.aborted) {
        await withDeadline(note(), WRITE_MS, "noting the minute").catch(() =>
          log.debug({}, "a minute of the history was not noted"),
        );
        await sleep(NOTE_EVERY_MS, signal);
      }
    },
  };
}
