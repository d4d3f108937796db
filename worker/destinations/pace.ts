import { RateLimiterMemory, RateLimiterQueue } from "rate-limiter-flexible";

/** Resolves when one more request may go out, so many a second at most, or when the signal aborts. */
export type Pace = (signal: AbortSignal) => Promise<void>;

/** @param perSecond undefined: as many as there are */
export function createPace(perSecond: number | undefined): Pace {
  if (perSecond === undefined) return async () => undefined;
  const queue = new RateLimiterQueue(new RateLimiterMemory({ points: perSecond, duration: 1 }));
  return async (signal) => {
    const stopped = new AbortController();
    const aborted = new Promise<void>((resolve) =>
      signal.addEventListener("abort", () => resolve(), { once: true, signal: stopped.signal }),
    );
    await Promise.race([queue.removeTokens(1), aborted]);
    stopped.abort();
  };
}
