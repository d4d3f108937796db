import type { Redis } from "ioredis";
import { type DestinationStore, type DestinationReport, NOTHING_SENT } from "../../shared/destinations/store.ts";
import { destinationKeys } from "../../shared/redis/keys.ts";
import { sleep, untilAborted } from "../../shared/util/sleep.ts";
import type { Handler } from "../events/handlers/handler.ts";
import { type DestinationOptions, type RunningDestination, startDestination } from "./destination.ts";
import type { Destination } from "./routes.ts";

const AGAIN_MS = 5000;

export interface DestinationsOptions extends Omit<DestinationOptions, "destination"> {
  destinations: readonly Destination[];
}

/** What an update changed, by the names of the handlers. */
export interface DestinationChanges {
  added: Handler[];
  removed: string[];
}

/** All services that the CAD's events go to. None of them touches another. */
export interface Destinations {
  handlers: Handler[];
  reports(): DestinationReport[];
  /**
   * Takes over other destinations and rules. A destination that remains keeps its backlog; a new one begins with the next event, or
   * where it was when it was removed. Of one that is removed nothing more is sent: what waits for it stays in its outbox.
   */
  update(next: readonly Destination[]): DestinationChanges;
  /** Until the signal aborts and nothing is in flight any more. */
  run(): Promise<void>;
  /** Cuts what is still in flight. */
  close(): Promise<void>;
}

interface Part {
  destination: RunningDestination;
  stop: AbortController;
}

export function startDestinations(options: DestinationsOptions): Destinations {
  const { store, signal, log } = options;
  const parts = new Map<string, Part>();
  /** Those that were removed, until nothing of them is in flight; and all others that run. */
  const running = new Set<Promise<void>>();
  const ending = new Map<string, Promise<void>>();
  let removed: DestinationReport[] = [];
  let looked = new AbortController();

  function start(destination: Destination): Part {
    const stop = new AbortController();
    const part = {
      destination: startDestination({ ...options, destination, signal: AbortSignal.any([signal, stop.signal]) }),
      stop,
    };
    parts.set(destination.id, part);
    return part;
  }
  for (const destination of options.destinations) start(destination);

  async function runPart(id: string, { destination, stop }: Part): Promise<void> {
    // One that was put back at once: nothing is to be sent twice.
    await ending.get(id);
    await destination.run();
    if (stop.signal.aborted) await destination.close();
  }
  function begin(id: string, part: Part): void {
    const run = runPart(id, part);
    const done = run.finally(() => running.delete(done));
    running.add(done);
    part.stop.signal.addEventListener("abort", () => {
      const ended = done.catch(() => undefined).finally(() => ending.get(id) === ended && ending.delete(id));
      ending.set(id, ended);
    });
  }

  const ids = (): string[] => [...parts.keys()];

  /** Removed destinations with messages left are kept and reported. */
  async function lookForRemoved(): Promise<void> {
    await Promise.all(ending.values());
    await store.add(ids());
    const left = await leftOfRemoved(
      options.redis,
      store,
      options.config.REDIS_PREFIX,
      ids().map((id) => ({ id })),
    );
    const kept = new Set([...ids(), ...left.map(({ id }) => id)]);
    for (const id of await store.ids()) if (!kept.has(id)) await store.remove(id);
    removed = left;
    for (const { id, reason } of left)
      log.warn({ destination: id, reason }, "a removed destination has undelivered messages");
    if (left.length > 0) options.onChange();
  }

  /** Once at the start and after each update; again where Redis does not answer. */
  async function keepLooking(): Promise<void> {
    while (!signal.aborted) {
      looked = new AbortController();
      const found = await lookForRemoved().then(
        () => true,
        () => false,
      );
      const woken = AbortSignal.any([signal, looked.signal]);
      await (found ? untilAborted(woken) : sleep(AGAIN_MS, woken));
    }
  }

  return {
    handlers: [...parts.values()].map((part) => part.destination.handler),
    reports: () => [
      ...[...parts.values()].map(({ destination }) => destination.report()),
      ...removed.filter(({ id }) => !parts.has(id)),
    ],
    update(next) {
      const changes: DestinationChanges = { added: [], removed: [] };
      const logged = { added: [] as string[], removed: [] as string[], changed: [] as string[] };
      for (const [id, part] of parts) {
        const now = next.find((one) => one.id === id);
        if (now) {
          if (part.destination.update(now)) logged.changed.push(id);
        } else {
          logged.removed.push(id);
          parts.delete(id);
          part.stop.abort();
          changes.removed.push(part.destination.handler.name);
        }
      }
      for (const destination of next) {
        if (parts.has(destination.id)) continue;
        const part = start(destination);
        begin(destination.id, part);
        changes.added.push(part.destination.handler);
        logged.added.push(destination.id);
      }
      log.info(logged, "destinations and rules were reloaded");
      looked.abort();
      options.onChange();
      return changes;
    },
    async run() {
      for (const [id, part] of parts) begin(id, part);
      await keepLooking();
      while (running.size > 0) await Promise.all(running);
    },
    close: async () => void (await Promise.all([...parts.values()].map(({ destination }) => destination.close()))),
  };
}

/** What is left in Redis of destinations that are in no route any more. */
export async function leftOfRemoved(
  redis: Redis,
  store: DestinationStore,
  prefix: string,
  destinations: readonly Pick<Destination, "id">[],
): Promise<DestinationReport[]> {
  const removed = (await store.ids()).filter((id) => !destinations.some((d) => d.id === id));
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
