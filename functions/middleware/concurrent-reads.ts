import type { MiddlewareHandler } from "hono";
import type { CallerEnv } from "../http/caller.ts";
import { Problem } from "../http/problem.ts";

/**
 * Limits how many expensive lists one subject reads concurrently from this process: each reads thousands of records, which
 * delays all other requests.
 * @param most per subject; 0: unlimited
 */
export function limitConcurrentReads(most: number): MiddlewareHandler<CallerEnv> {
  const reading = new Map<string, number>();
  return async (c, next) => {
    const { userId } = c.get("caller");
    const before = reading.get(userId) ?? 0;
    if (most > 0 && before >= most) {
      const detail = `The token's subject is already reading ${before} lists concurrently, which is the limit.`;
      throw new Problem("too-many-reads", detail, { most }, { "Retry-After": "1" });
    }
    reading.set(userId, before + 1);
    try {
      await next();
    } finally {
      const left = (reading.get(userId) ?? 1) - 1;
      if (left > 0) reading.set(userId, left);
      else reading.delete(userId);
    }
  };
}
