import { Redis } from "ioredis";
import { inject, onTestFinished } from "vitest";
import { outboxKeys, type OutboxKeys } from "../../shared/redis/keys.ts";

let count = 0;

/** A key prefix that no other test has. */
export const freshPrefix = (): string => `test-${process.pid}-${Date.now().toString(36)}-${++count}`;

/** A connection to the tests' Redis, closed when the test ends. */
export function testRedis(): Redis {
  const redis = new Redis(inject("redisUrl"), { maxRetriesPerRequest: null });
  onTestFinished(() => redis.disconnect());
  return redis;
}

/** A connection to the tests' Redis and the keys of a backend of its own; closed when the test ends. */
export function freshBackend(): { redis: Redis; keys: OutboxKeys; prefix: string } {
  const prefix = freshPrefix();
  return { redis: testRedis(), keys: outboxKeys(prefix), prefix };
}
