import type { Redis } from "ioredis";
import type { Micros } from "../util/time.ts";

/** How long Redis's time is extrapolated by this process's clock before it is read again, ms. */
const TRUSTED_MS = 5000;

/** Converts the reply of TIME. */
export const toMicros = ([seconds, micros]: readonly (string | number)[]): Micros =>
  Number(seconds) * 1_000_000 + Number(micros);

/** The time by Redis's clock, on which all its clients agree, however wrong their own clocks are. */
export type RedisClock = () => Promise<Micros>;

/** Reads Redis's clock at most every 5 s while in use; fails like any Redis command. */
export const createRedisClock = (redis: Pick<Redis, "time">): RedisClock =>
  createCachedClock(async () => toMicros(await redis.time()));

/** Caches a clock for 5 s. */
export function createCachedClock(now: () => Promise<Micros>): RedisClock {
  let known: { redis: Micros; here: number } | undefined;
  let asking: Promise<void> | undefined;

  async function ask(): Promise<void> {
    try {
      known = { redis: await now(), here: performance.now() };
    } finally {
      asking = undefined;
    }
  }

  return async () => {
    if (!known || performance.now() - known.here > TRUSTED_MS) await (asking ??= ask());
    if (!known) throw new TypeError("Redis's clock was not asked");
    return known.redis + Math.round((performance.now() - known.here) * 1000);
  };
}
