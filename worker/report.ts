import type { Redis } from "ioredis";
import { BEAT_KEPT_MS, BEAT_MS, type WorkerHealth } from "../shared/health.ts";
import type { OutboxKeys } from "../shared/outbox/keys.ts";
import { script } from "../shared/redis.ts";
import { sleep, withDeadline } from "../shared/sleep.ts";

/** Tells the functions how the worker is: every second, and at once when something changed. */
export interface Reporter {
  changed(): void;
  run(): Promise<void>;
  goodbye(): Promise<void>;
}

const WRITE_MS = 1000;
/** Written even when Redis is full: whoever is on call needs it then above all. */
const BEAT = `#!lua flags=allow-oom
return redis.call('PSETEX', KEYS[1], ARGV[1], ARGV[2])`;

export function createReporter(
  redis: Redis,
  keys: OutboxKeys,
  health: () => WorkerHealth,
  signal: AbortSignal,
): Reporter {
  const beat = script(redis, "workerBeat", BEAT, [keys.health]);
  let wake = new AbortController();

  /** A beat that cannot be written is missed: that is what the functions go by. */
  async function write(report: WorkerHealth): Promise<void> {
    const written = beat(BEAT_KEPT_MS, JSON.stringify(report));
    await withDeadline(written, WRITE_MS, "writing the worker's health").catch(() => undefined);
  }

  return {
    changed: () => wake.abort(),
    async run() {
      while (!signal.aborted) {
        wake = new AbortController();
        await write(health());
        await sleep(BEAT_MS, AbortSignal.any([signal, wake.signal]));
      }
    },
    goodbye: () => write({ ...health(), stopped: true, ready: false, connected: false }),
  };
}
