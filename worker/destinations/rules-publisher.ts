import type { DestinationStore } from "../../shared/destinations/store.ts";
import { START } from "../../shared/redis/stream-id.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { Destination } from "./routes.ts";

/** How soon rules that could not be stored are stored again, ms. */
const STORE_AGAIN_MS = 250;

/** Stores by which rules a destination's events are chosen: GET /events/{id} explains by them why no rule matched an event. */
export interface RulesPublisher {
  /** The present rules hold for the entries after this one. */
  changedAt(entry: string): void;
  /** Until the signal aborts. Never rejects. */
  run(): Promise<void>;
}

export function createRulesPublisher(
  id: string,
  store: DestinationStore,
  rules: () => Destination["rules"],
  signal: AbortSignal,
): RulesPublisher {
  let change = Promise.withResolvers<string>();
  signal.addEventListener("abort", () => change.resolve(START), { once: true });

  const isStored = (since: string): Promise<boolean> =>
    store
      .saveRules(
        id,
        rules().map(({ at, events, ownEchoes }) => ({ at, events, ownEchoes })),
        since,
      )
      .then(
        () => true,
        () => false,
      );

  return {
    changedAt: (entry) => change.resolve(entry),
    async run() {
      while (!signal.aborted) {
        const since = await change.promise;
        change = Promise.withResolvers();
        while (!signal.aborted && !(await isStored(since))) await sleep(STORE_AGAIN_MS, signal);
      }
    },
  };
}
