import type { DestinationBook } from "../../shared/destinations.ts";
import { sleep } from "../../shared/sleep.ts";
import type { DestinationGate } from "./gate.ts";

/** How often Redis is asked whether somebody enabled the destination, and after what time again if it did not answer, ms. */
const ASK_MS = 1000;

/** Keeps a gate's state in Redis, for the next owner, and asks there whether somebody enabled the destination. */
export function createKeeper(book: DestinationBook, id: string, gate: DestinationGate, signal: AbortSignal) {
  let unsaved = false;
  let enables: number | undefined;
  let wake = new AbortController();

  async function look(): Promise<void> {
    if (unsaved) {
      unsaved = false;
      try {
        enables = await book.save(id, gate.state());
      } catch (error) {
        unsaved = true;
        throw error;
      }
    } else if (gate.state().state !== "ok") {
      const now = await book.enabled(id);
      if (enables !== undefined && now > enables) gate.enable();
      enables = now;
    }
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
          return gate.begin(await book.load(id));
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
