import type { DestinationState, DestinationStore } from "../../shared/destinations/store.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { DestinationBreaker } from "./circuit-breaker.ts";

/** How often Redis is asked whether somebody enabled or paused the destination, and after what time again if it did not answer, ms. */
const ASK_MS = 1000;

/** Keeps a breaker's state in Redis, for the next owner, and asks there whether somebody enabled the destination. */
export function createStateSync(store: DestinationStore, id: string, breaker: DestinationBreaker, signal: AbortSignal) {
  let unsaved = false;
  /** The state that was saved last, if the destination is paused or disabled by it. */
  let shut: DestinationState | undefined;
  /** The last pause on request that the breaker knows of: its `since`. */
  let obeyed: number | undefined;
  let wake = new AbortController();

  async function save(): Promise<void> {
    unsaved = false;
    try {
      const state = breaker.state();
      await store.save(id, state);
      shut = state.state === "ok" ? undefined : state;
    } catch (error) {
      unsaved = true;
      throw error;
    }
  }

  async function hearPause(): Promise<void> {
    const paused = await store.paused(id);
    if (!paused || paused.since === obeyed) return;
    obeyed = paused.since;
    if (breaker.state().since !== paused.since) breaker.disable(paused.reason, paused.since);
  }

  /** An enable is for what was shut before it: one of a destination that was well does nothing. */
  async function look(): Promise<void> {
    await hearPause();
    if (shut && (await store.enabled(id)) === shut.since) {
      shut = undefined;
      breaker.enable();
    }
    // What somebody changed or deleted meanwhile is written again.
    if (shut && !unsaved) unsaved = !(await store.holds(id, shut));
    if (unsaved) await save();
  }

  return {
    changed() {
      unsaved = true;
      wake.abort();
    },
    async load() {
      while (!signal.aborted) {
        try {
          const saved = await store.load(id);
          shut = saved?.state === "ok" ? undefined : saved;
          breaker.begin(saved);
          // The previous leader may have ended after it received the request and before it stored that.
          await hearPause();
          return;
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
