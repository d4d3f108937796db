import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { withDeadline } from "../../shared/util/sleep.ts";
import { type Granted, POLICIES, type Policy, type Quotas } from "../config/quotas.ts";

/** Deadline for asking Redis, after which this process counts by itself, ms. A request that waits for it must be answered within 1.5 s. */
const ASK_MS = 100;

/**
 * Grants requests out of what each client may have in a window of time. Redis counts for all processes; while it is away
 * each counts for itself, so that it is no second thing to fail.
 */
export type TakePoints = (policy: Policy, client: string, points: number) => Promise<Granted>;

export function openRateLimiter(redis: Redis, keys: OutboxKeys, quotas: Quotas): TakePoints {
  const limiters = new Map(POLICIES.flatMap((policy) => (quotas[policy] > 0 ? [[policy, limiterOf(policy)]] : [])));

  function limiterOf(policy: Policy) {
    const options = {
      keyPrefix: `${keys.base}:limit:${policy}`,
      points: quotas[policy],
      duration: quotas.windowSeconds,
    };
    const alone = new RateLimiterMemory(options);
    const together = new RateLimiterRedis({
      ...options,
      storeClient: redis,
      rejectIfRedisNotReady: true,
      // A client over its limit is refused without asking Redis again until the window ends.
      inMemoryBlockOnConsumed: quotas[policy],
    });
    return { alone, together };
  }

  return async (policy, client, points) => {
    const limiter = limiters.get(policy);
    if (!limiter) return { granted: points, remaining: points, resetMs: quotas.windowSeconds * 1000 };
    // A subject may be long, and say who somebody is: Redis needs to know neither.
    const key = createHash("sha256").update(client).digest("base64url").slice(0, 22);
    const asked = withDeadline(limiter.together.consume(key, points), ASK_MS, "asking for points");
    const result = await asked
      .catch((error: unknown) => (error instanceof RateLimiterRes ? error : limiter.alone.consume(key, points)))
      .catch((error: unknown) => {
        if (error instanceof RateLimiterRes) return error;
        throw error;
      });
    return toGranted(result, points, quotas[policy]);
  };
}

/** What lies beyond the quota was counted, but is not granted. One that is blocked in memory was not counted at all. */
function toGranted(result: RateLimiterRes, points: number, quota: number): Granted {
  const beyond = result.consumedPoints === 0 ? points : Math.max(0, result.consumedPoints - quota);
  return {
    granted: Math.max(0, points - beyond),
    remaining: Math.max(0, result.remainingPoints),
    resetMs: Math.max(1, result.msBeforeNext),
  };
}
