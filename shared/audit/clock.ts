import type { Redis } from "ioredis";
import { createCachedClock, type RedisClock, toMicros } from "../redis/clock.ts";
import { timeOfId } from "../redis/stream-id.ts";

/** How far ahead of Redis's clock the trail may be, us: a clock that was off by a day was set right. Beyond, somebody wrote there. */
const MAX_AHEAD_US = 26 * 3_600_000_000;

/**
 * The time of an entry that is written now: by Redis's clock, but never before the newest entry, since Redis gives no id before it,
 * also after its clock was set back.
 * @param entries the stream of the trail
 */
export const createAuditClock = (redis: Pick<Redis, "time" | "xrevrange">, entries: string): RedisClock =>
  createCachedClock(async () => {
    const [time, [newest]] = await Promise.all([redis.time(), redis.xrevrange(entries, "+", "-", "COUNT", 1)]);
    const now = toMicros(time);
    const ahead = newest ? timeOfId(newest[0]) - now : 0;
    return ahead > 0 && ahead <= MAX_AHEAD_US ? now + ahead : now;
  });
