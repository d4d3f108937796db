import type { Redis } from "ioredis";
import type { CadsKeys } from "../../shared/cads/keys.ts";
import { defineScript, integer, openScript, string } from "../../shared/redis/script.ts";
import { withDeadline } from "../../shared/util/sleep.ts";

/** A worker that has not reported for this time counts as gone, ms: less than the duration of a lease. */
const LIVE_MS = 2500;
const ANSWER_MS = 1000;

/** `liveMs`: for how long one is live. By Redis's clock. Answers who is. */
const ANNOUNCE = defineScript(
  "fleetAnnounce",
  { instance: string, liveMs: integer },
  `#!lua flags=allow-oom
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), args.instance)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - args.liveMs))
redis.call('PEXPIRE', KEYS[1], 60000)
return redis.call('ZRANGE', KEYS[1], 0, -1)`,
);

/** Which workers there are, of those that share the same CADs. */
export interface Workers {
  /** Says that this one is there, and answers who else is. Rejects if Redis does not answer within 1 s. */
  announce(): Promise<string[]>;
  /** Takes it back, so that the others share at once what this one had. Never rejects. */
  leave(): Promise<void>;
}

export function openWorkers(redis: Redis, keys: CadsKeys, instance: string): Workers {
  const announce = openScript(redis, ANNOUNCE, [keys.workers]);
  return {
    async announce() {
      const reply = await withDeadline(announce({ instance, liveMs: LIVE_MS }), ANSWER_MS, "announcing the worker");
      return Array.isArray(reply) ? reply.map(String) : [];
    },
    async leave() {
      await withDeadline(redis.zrem(keys.workers, instance), ANSWER_MS, "leaving").catch(() => undefined);
    },
  };
}
