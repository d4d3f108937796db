import type { Redis } from "ioredis";
import { type DestinationStore, type DestinationReport, NOTHING_SENT } from "../../shared/destinations/store.ts";
import { destinationKeys } from "../../shared/redis/keys.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { Handler } from "../events/handlers/handler.ts";
import { type DestinationOptions, startDestination } from "./destination.ts";
import type { Destination } from "./routes.ts";

const AGAIN_MS = 5000;

export interface DestinationsOptions extends Omit<DestinationOptions, "destination"> {
  destinations: readonly Destination[];
}

/** All services that the CAD's events go to. None of them touches another. */
export interface Destinations {
  handlers: Handler[];
  reports(): DestinationReport[];
  /** Until the signal aborts and nothing is in flight any more. */
  run(): Promise<void>;
  /** Cuts what is still in flight. */
  close(): Promise<void>;
}

export function startDestinations(options: DestinationsOptions): Destinations {
  const { destinations, book, signal, log } = options;
  const all = destinations.map((destination) => startDestination({ ...options, destination }));
  let removed: DestinationReport[] = [];

  /** What is left of destinations that are in no route any more is kept, and told. */
  async function lookForRemoved(): Promise<void> {
    await book.add(destinations.map((d) => d.id));
    const left = await leftOfRemoved(options.redis, book, options.config.REDIS_PREFIX, destinations);
    const kept = new Set([...destinations, ...left].map(({ id }) => id));
    for (const id of await book.ids()) if (!kept.has(id)) await book.remove(id);
    removed = left;
    for (const { id, reason } of left)
      log.warn({ destination: id, reason }, "a removed destination has undelivered messages");
    if (left.length > 0) options.onChange();
  }

  async function keepLooking(): Promise<void> {
    while (!signal.aborted) {
      const found = await lookForRemoved().then(
        () => true,
        () => false,
      );
      if (found) return;
      await sleep(AGAIN_MS, signal);
    }
  }

  return {
    handlers: all.map((one) => one.handler),
    reports: () => [...all.map((one) => one.report()), ...removed],
    run: async () => void (await Promise.all([keepLooking(), ...all.map((one) => one.run())])),
    close: async () => void (await Promise.all(all.map((one) => one.close()))),
  };
}

/** What is left in Redis of destinations that are in no route any more. */
export async function leftOfRemoved(
  redis: Redis,
  book: DestinationStore,
  prefix: string,
  destinations: readonly Pick<Destination, "id">[],
): Promise<DestinationReport[]> {
  const removed = (await book.ids()).filter((id) => !destinations.some((d) => d.id === id));
  const left = removed.map(async (id) => {
    const keys = destinationKeys(prefix, id);
    const [waiting, dead] = await Promise.all([redis.zcard(keys.open), redis.zcard(keys.dead)]);
    return waiting + dead === 0 ? [] : [leftOf(id, waiting, dead)];
  });
  return (await Promise.all(left)).flat();
}

const leftOf = (id: string, waiting: number, dead: number): DestinationReport => ({
  id,
  url: "",
  state: "removed",
  reason: `it is in no route any more, and ${waiting} messages for it wait, beside ${dead} dead letters: put it back to deliver them`,
  since: null,
  until: null,
  in_flight: 0,
  ...NOTHING_SENT,
});
