import type { DestinationStore } from "../../shared/destinations/store.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { DestinationBreaker } from "./circuit-breaker.ts";

/** How often Redis is asked whether somebody enabled the destination, and after what time again if it did not answer, ms. */
const ASK_MS = 1000;

/** Keeps a breaker's state in Redis, for the next owner, and asks there whether somebody enabled the destination. */
export function createStateSync(book: DestinationStore, id: string, breaker: DestinationBreaker, signal: AbortSignal) {
  let unsaved = false;
  /** Whether the destination is paused or disabled, and how often it was enabled, as Redis knew last. */
  let shut = false;
  let enables = 0;
  let wake = new AbortController();

  async function save(): Promise<number> {
    unsaved = false;
    try {
      const state = breaker.state();
      const now = await book.save(id, state);
      shut = state.state !== "ok";
      return now;
    } catch (error) {
      unsaved = true;
      throw error;
    }
  }

  /** An enable is for what was shut before it: one of a destination that was well does nothing. */
  async function look(): Promise<void> {
    if (!unsaved && !shut) return;
    const wasShut = shut;
    const now = await (unsaved ? save() : book.enabled(id));
    if (wasShut && now > enables) breaker.enable();
    enables = now;
  }

  return {
    changed() {
      unsaved = true;
      wake.abort();
    },
    async load() {
      while (!signal.aborted) {
        try {
          enables = await book.enabled(id);
          const saved = await book.load(id);
          shut = saved !== undefined && saved.state !== "ok";
          return breaker.begin(saved);
        } catch {
          await sleep(ASK_MS, signal);
        }
      }
    },
    async run() {
      while (!signal.aborted) {
        wake = new AbortController();
        if (!unsaved) await sleep(ASK_MS, AbortSignal.any([signal, wake.signal]));
        // What Redis does not take now is written with the next look.
        await look().catch(() => sleep(ASK_MS, signal));
      }
    },
  };
}
