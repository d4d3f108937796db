import { sleep } from "../../shared/util/sleep.ts";

/** Resolves when one more request may go out, or when the signal aborts. */
export type Pace = (signal: AbortSignal) => Promise<void>;

/**
 * A maximum rate, evenly spread. Uses a monotonic clock, unlike the libraries for this: with the wall clock set back by
 * an hour, it would let nothing out for an hour.
 * @param perSecond undefined: as many as there are
 */
export function createPace(perSecond: number | undefined): Pace {
  if (perSecond === undefined) return async () => undefined;
  let next = 0;
  return (signal) => {
    const now = performance.now();
    const mine = Math.max(now, next);
    next = mine + 1000 / perSecond;
    return mine > now ? sleep(mine - now, signal) : Promise.resolve();
  };
}
