import type { Waiting } from "../delivery/dispatcher.ts";

/** Maximum number of messages of a destination that are in memory: their ids, waiting for a place. */
const MAX_WAITING = 2000;

export interface LocalQueue extends Waiting {
  /** Before it nothing is added: what is runnable comes with the first sweep. */
  start(run: (id: string) => Promise<void>): void;
}

/**
 * The queue of a destination's outbox. Only the worker adds to it, so it needs no way through Redis. What does not fit
 * stays runnable there, and comes with the next sweep.
 */
export function createLocalQueue(): LocalQueue {
  const waiting = new Set<string>();
  let run: ((id: string) => Promise<void>) | undefined;

  function take(id: string): boolean {
    if (!run || waiting.has(id) || waiting.size >= MAX_WAITING) return false;
    waiting.add(id);
    // One that fails stays runnable as well.
    void run(id)
      .catch(() => undefined)
      .finally(() => waiting.delete(id));
    return true;
  }
  return {
    start: (job) => void (run = job),
    add: async (ids) => ids.forEach(take),
    ensure: async (ids) => ids.filter(take).length,
  };
}
