import type { Waiting } from "../delivery/dispatcher.ts";

/** How many messages of a destination are in memory at most: their ids, waiting for a place. */
const MAX_WAITING = 2000;

/**
 * The queue of a destination's outbox. Only the worker puts anything in, so it needs no way through Redis. What does not fit
 * stays runnable there, and comes with the next sweep.
 */
export function createLocalQueue(run: (id: string) => Promise<void>): Waiting {
  const waiting = new Set<string>();

  function take(id: string): boolean {
    if (waiting.has(id) || waiting.size >= MAX_WAITING) return false;
    waiting.add(id);
    // One that fails stays runnable as well.
    void run(id)
      .catch(() => undefined)
      .finally(() => waiting.delete(id));
    return true;
  }
  return {
    add: async (ids) => ids.forEach(take),
    ensure: async (ids) => ids.filter(take).length,
  };
}
