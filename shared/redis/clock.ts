import type { Redis } from "ioredis";
import type { Micros } from "../util/time.ts";

/** How long an answer of Redis's clock is extrapolated by this process's own, ms. */
const TRUSTED_MS = 5000;

/** What TIME answers, as one number. */
export const toMicros = ([seconds, micros]: readonly (string | number)[]): Micros =>
  Number(seconds) * 1_000_000 + Number(micros);

/** What time it is by Redis's clock: all who share a Redis agree on it, however far their own clocks are off. */
export type RedisClock = () => Promise<Micros>;

/** Asks Redis once in 5 s while it is used; fails as any command to Redis does. */
export const createRedisClock = (redis: Pick<Redis, "time">): RedisClock =>
  createCachedClock(async () => toMicros(await redis.time()));

/** A clock that is asked once in 5 s while it is used. */
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
