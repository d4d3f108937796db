import type { MiddlewareHandler } from "hono";
import type { CallerEnv } from "../http/caller.ts";
import { Problem } from "../http/problem.ts";

/**
 * Bounds how many costly lists one subject reads at once from this process: each looks at thousands of records, between which all
 * other requests have to wait.
 *
 * @param most for each subject; 0: any number
 */
export function limitConcurrentReads(most: number): MiddlewareHandler<CallerEnv> {
  const reading = new Map<string, number>();
  return async (c, next) => {
    const { userId } = c.get("caller");
    const before = reading.get(userId) ?? 0;
    if (most > 0 && before >= most) {
      const detail = `The token's subject is reading ${before} lists at once, as many as it may.`;
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
