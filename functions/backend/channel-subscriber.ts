import type { Redis } from "ioredis";
import { RedisFault, redisFault } from "../../shared/redis/fault.ts";
import { DeadlineExceeded, sleep, withDeadline } from "../../shared/util/sleep.ts";

/** Waits for messages on channels of Redis, for many callers over one connection. */
export interface Waiter {
  /**
   * Listens to the channel while `look` runs. `news` resolves with true when there was a word on it since it was last asked,
   * or might have been (the connection was cut), and with false once `ms` have passed. Listening begins before `look`, so
   * that nothing falls between what it reads and what it hears.
   */
  during<T>(channel: string, ms: number, look: (news: () => Promise<boolean>) => Promise<T>): Promise<T>;
  /** Ends every wait at once. */
  stop(): void;
}

const SUBSCRIBE_MS = 1000;
/** How often a caller looks by itself whose Redis user may not listen, ms. */
const LOOK_MS = 250;

/** @param onRefused called whenever Redis refuses a subscription */
export function createChannelSubscriber(
  subscriber: Redis,
  onRefused: (error: unknown) => void = () => undefined,
): Waiter {
  const listeners = new Map<string, { wakes: Set<() => void>; subscribed: Promise<unknown> }>();
  const stopped = new AbortController();
  const wakeAll = (channel: string) => {
    for (const wake of listeners.get(channel)?.wakes ?? []) wake();
  };
  subscriber.on("message", wakeAll);
  // What was said while the connection was cut was said to nobody.
  subscriber.on("ready", () => {
    for (const [channel, listener] of listeners) {
      listener.subscribed = subscriber.subscribe(channel);
      listener.subscribed.then(
        () => wakeAll(channel),
        () => undefined,
      );
    }
  });

  /** Answers false if Redis does not let this user listen. */
  async function listen(channel: string, wake: () => void): Promise<boolean> {
    const listener = listeners.get(channel) ?? { wakes: new Set(), subscribed: subscriber.subscribe(channel) };
    listeners.set(channel, listener);
    listener.wakes.add(wake);
    try {
      await withDeadline(listener.subscribed, SUBSCRIBE_MS, "subscribing");
      return true;
    } catch (error) {
      if (error instanceof DeadlineExceeded) throw new RedisFault("unavailable");
      if (redisFault(error) !== "refused") throw error;
      onRefused(error);
      return false;
    }
  }

  function leave(channel: string, wake: () => void): void {
    const wakes = listeners.get(channel)?.wakes;
    wakes?.delete(wake);
    if (wakes?.size !== 0) return;
    listeners.delete(channel);
    // A channel that stays subscribed receives messages nobody waits for: harmless, and gone with the connection.
    subscriber.unsubscribe(channel).catch(() => undefined);
  }

  return {
    async during(channel, ms, look) {
      const until = performance.now() + ms;
      let woken = new AbortController();
      const wake = () => woken.abort();
      let listens = true;
      const news = async () => {
        const left = Math.max(0, until - performance.now());
        await sleep(listens ? left : Math.min(left, LOOK_MS), AbortSignal.any([woken.signal, stopped.signal]));
        const heard = (woken.signal.aborted || (!listens && left > LOOK_MS)) && !stopped.signal.aborted;
        woken = new AbortController();
        return heard;
      };
      try {
        listens = await listen(channel, wake);
        return await look(news);
      } finally {
        leave(channel, wake);
      }
    },
    stop: () => stopped.abort(),
  };
}
