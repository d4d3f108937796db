import { RateLimiterMemory, RateLimiterQueue } from "rate-limiter-flexible";

/** Resolves when one more request may go out: so many a second at most. */
export type Pace = () => Promise<void>;

/** @param perSecond undefined: as many as there are */
export function createPace(perSecond: number | undefined): Pace {
  if (perSecond === undefined) return async () => undefined;
  const queue = new RateLimiterQueue(new RateLimiterMemory({ points: perSecond, duration: 1 }));
  return async () => void (await queue.removeTokens(1));
}
