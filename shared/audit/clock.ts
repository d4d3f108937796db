import type { Redis } from "ioredis";
import { createCachedClock, type RedisClock, toMicros } from "../redis/clock.ts";
import { timeOfId } from "../redis/stream-id.ts";

/** How far the trail may be ahead of Redis's clock, us: allows for a clock off by a day that was corrected. More is forged. */
const MAX_AHEAD_US = 26 * 3_600_000_000;

/**
 * The time of an entry written now: by Redis's clock, but never before the newest entry, since Redis assigns no earlier id even
 * after its clock was set back.
 * @param entries the stream of the trail
 */
export const createAuditClock = (redis: Pick<Redis, "time" | "xrevrange">, entries: string): RedisClock =>
  createCachedClock(async () => {
    const [time, [newest]] = await Promise.all([redis.time(), redis.xrevrange(entries, "+", "-", "COUNT", 1)]);
    const now = toMicros(time);
    const ahead = newest ? timeOfId(newest[0]) - now : 0;
    return ahead > 0 && ahead <= MAX_AHEAD_US ? now + ahead : now;
  });
