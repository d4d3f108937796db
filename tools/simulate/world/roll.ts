/**
 * Numbers that depend on the seed and on what they are for, and on nothing else: taking one fault or command out of a schedule
 * leaves the delays of everything else as they were, so that a failing schedule can be made smaller.
 */
export type Roll = (what: string) => number;

/** @param seed of the schedule. Each name has its own sequence: asked again, it gets the next number. */
export function createRoll(seed: number): Roll {
  const times = new Map<string, number>();
  return (what) => {
    const nth = (times.get(what) ?? 0) + 1;
    times.set(what, nth);
    return mixed(seed, what, nth);
  };
}

/** From 0 to below 1. */
export function mixed(seed: number, what: string, nth: number): number {
  let hash = (seed ^ 0x811c9dc5) >>> 0;
  for (let i = 0; i < what.length; i += 1) hash = Math.imul(hash ^ what.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ nth, 0x9e3779b1);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
