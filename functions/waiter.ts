import type { Redis } from "ioredis";
import { sleep, withDeadline } from "../shared/sleep.ts";

/** Waits for a word on a channel of Redis, for as many callers as there are, over one connection. */
export interface Waiter {
  /**
   * Listens to the channel while `look` runs; `heard` resolves at the first word on it, or after `ms`. Listening begins
   * before `look`, so that nothing falls between what it reads and what it hears.
   */
  during<T>(channel: string, ms: number, look: (heard: Promise<void>) => Promise<T>): Promise<T>;
  /** Ends every wait at once. */
  stop(): void;
}

const SUBSCRIBE_MS = 1000;

export function createWaiter(subscriber: Redis): Waiter {
  const listeners = new Map<string, { wakes: Set<() => void>; subscribed: Promise<unknown> }>();
  const stopped = new AbortController();
  subscriber.on("message", (channel: string) => {
    for (const wake of listeners.get(channel)?.wakes ?? []) wake();
  });

  async function listen(channel: string, wake: () => void): Promise<void> {
    const listener = listeners.get(channel) ?? { wakes: new Set(), subscribed: subscriber.subscribe(channel) };
    listeners.set(channel, listener);
    listener.wakes.add(wake);
    await withDeadline(listener.subscribed, SUBSCRIBE_MS, "subscribing");
  }

  function leave(channel: string, wake: () => void): void {
    const wakes = listeners.get(channel)?.wakes;
    wakes?.delete(wake);
    if (wakes?.size !== 0) return;
    listeners.delete(channel);
    // One that stays subscribed hears words that nobody waits for: harmless, and gone with the connection.
    subscriber.unsubscribe(channel).catch(() => undefined);
  }

  return {
    async during(channel, ms, look) {
      const woken = new AbortController();
      const wake = () => woken.abort();
      try {
        await listen(channel, wake);
        return await look(sleep(ms, AbortSignal.any([woken.signal, stopped.signal])));
      } finally {
        woken.abort();
        leave(channel, wake);
      }
    },
    stop: () => stopped.abort(),
  };
}
