import type { Redis } from "ioredis";
import type { DestinationReport, DestinationState, DestinationStore } from "../../shared/destinations/store.ts";
import { createChanges } from "../../shared/util/changes.ts";
import type { Tracer } from "../../shared/tracing/tracer.ts";
import { kindOf } from "../../shared/util/reason.ts";
import { withoutCredentials } from "../../shared/health/worker-health.ts";
import type { Measure } from "../../shared/metrics/measure.ts";
import type { Log } from "../../shared/util/log.ts";
import { destinationKeys } from "../../shared/redis/keys.ts";
import { type DestinationLoad, readLoad } from "../../shared/destinations/load.ts";
import { openMessageAttempts } from "../../shared/destinations/attempts.ts";
import { journalKeys } from "../../shared/journal/keys.ts";
import { openJournalReader } from "../../shared/journal/read.ts";
import { openDeadLetters } from "../../shared/outbox/dead-letters.ts";
import { compareIds, START } from "../../shared/redis/stream-id.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { atMost } from "../../shared/outbox/bounds.ts";
import { openOutbox } from "../../shared/outbox/outbox.ts";
import { openOwnedOutbox } from "../../shared/outbox/owned.ts";
import { type Sealer, sealerFor } from "../../shared/sealing/seal.ts";
import { createPayloads } from "../delivery/payloads.ts";
import { watchForged } from "../delivery/forged-watch.ts";
import type { Forgeries } from "../delivery/forgeries.ts";
import { createDispatcher } from "../delivery/dispatcher.ts";
import type { Handler } from "../events/handlers/handler.ts";
import { sourceOf } from "../../shared/destinations/source.ts";
import { createDeliverTo } from "./deliver.ts";
import { createDestinationBreaker } from "./circuit-breaker.ts";
import { createChooser, toDestination } from "./handler.ts";
import { createAttemptsLog } from "./attempts-log.ts";
import { createCounts } from "./counts.ts";
import { createLiveSender } from "./live-sender.ts";
import { createReplay } from "./replay.ts";
import { createStateSync } from "./store.ts";
import { createLocalQueue } from "./queue.ts";
import type { Destination } from "./routes.ts";
import { createRulesPublisher } from "./rules-publisher.ts";
import { createSender } from "./send.ts";

/** How many requests go to one destination at once; none of them share a unit or an incident. */
const PLACES = 64;
/** How long what was delivered is known by its id, ms: longer than an entry is handled again after a crash. */
const DELIVERED_KEPT_MS = 25 * 3_600_000;
/** How often it is looked at what waits, ms. */
const LOAD_MS = 2000;
/** How long a failing destination is left alone before it is tried again, ms at most. */
const PAUSE_TO_MS = 300_000;

export interface DestinationOptions {
  destination: Destination;
  config: { REDIS_PREFIX: string; ALLOW_PRIVATE_DESTINATIONS: boolean; DESTINATION_BACKLOG: number };
  redis: Redis;
  store: DestinationStore;
  sealer: Sealer;
  forgeries: Forgeries;
  token: string;
  deadKeptMs: number;
  mayEmit(): boolean;
  /** Called when its report has changed. */
  onChange(): void;
  measure: Measure;
  tracer?: Tracer;
  signal: AbortSignal;
  random: () => number;
  log: Log;
}

/** One destination: its handler fills its outbox, and what is in there is posted to it. */
export interface RunningDestination {
  handler: Handler;
  /** From now on it is as this one says, which has the same id. What is being sent ends as it was begun. Answers whether it differs. */
  update(next: Destination): boolean;
  report(): DestinationReport;
  /** Until the signal aborts and nothing is in flight any more. */
  run(): Promise<void>;
  close(): Promise<void>;
}

export function startDestination(options: DestinationOptions): RunningDestination {
  const { config, redis, store, signal, random, log } = options;
  const { id } = options.destination;
  let current = options.destination;
  const sealer = sealerFor(options.sealer, id);
  const keys = destinationKeys(config.REDIS_PREFIX, id);
  const outbox = openOwnedOutbox(redis, keys, sealer, options.token, options.deadKeptMs, DELIVERED_KEPT_MS);
  const counts = createCounts();
  const sender = createLiveSender(current, (to) =>
    createSender(to, config.ALLOW_PRIVATE_DESTINATIONS, PLACES, options.mayEmit),
  );

  const stateChanges = createChanges<DestinationState>();
  const breaker = createDestinationBreaker({
    places: PLACES,
    pauseFromMs: () => current.retryMs[0] ?? PAUSE_TO_MS,
    pauseToMs: PAUSE_TO_MS,
    onChange: stateChanges.notify,
    signal,
    random,
  });
  const payloads = createPayloads(
    sealer,
    log,
    (message) => options.forgeries.note("webhook", `${id}/${message}`),
    "webhook",
  );
  const stateSync = createStateSync(store, id, breaker, signal);
  const attempts = createAttemptsLog(id, store, openMessageAttempts(redis, keys, sealer), signal);
  const deliver = createDeliverTo({
    destination: id,
    outbox,
    breaker,
    pace: sender.pace,
    payloads,
    retryMs: () => current.retryMs,
    send: sender.send,
    onResult(answer, tried, at, durationMs) {
      counts.count(answer);
      attempts.note(tried, answer, at, durationMs);
    },
    mayEmit: options.mayEmit,
    measure: options.measure,
    ...(options.tracer && { tracer: options.tracer }),
    signal,
    random,
    log,
  });
  const queue = createLocalQueue();
  const dispatcher = createDispatcher({ outbox, queue, deliver, isOpen: breaker.isOpen, signal, log });
  queue.start(dispatcher.onJob);
  stateChanges.listen(({ state, reason }) => {
    const fields = { destination: id, reason: reason || undefined };
    if (state !== "ok") return log.warn({ ...fields, state }, "delivery to a destination suspended");
    log.info(fields, "delivery to a destination resumed");
    // What waits for a retry since the destination failed is tried at once, and not in hours.
    outbox.retryNow().then(dispatcher.wake, () => undefined);
  });
  stateChanges.listen(stateSync.changed);
  stateChanges.listen(options.onChange);

  const forged = watchForged({
    ...{ redis, keys, sealer, outbox, signal, log },
    onForged: (message) => options.forgeries.note("webhook", `${id}/${message}`),
    onRunnable: (ids) => void queue.add(ids),
  });

  let load: DestinationLoad | null = null;
  async function watchLoad(): Promise<void> {
    for (; !signal.aborted; await sleep(LOAD_MS, signal))
      load = await readLoad(redis, keys, config.DESTINATION_BACKLOG).catch(() => load);
  }

  const published = createRulesPublisher(id, store, () => current.rules, signal);
  const choosing = {
    // As it is whenever an entry is looked at.
    destination: {
      id,
      get phi() {
        return current.phi;
      },
      get rules() {
        return current.rules;
      },
    },
    onFilterError(error: unknown) {
      const name = kindOf(error);
      if (counts.filterFailed() === 1)
        log.warn({ destination: id, reason: name }, "a filter failed, which counts as no match (logged once)");
    },
  };
  const { ruleFor } = createChooser(choosing);
  const deadLetters = openDeadLetters(redis, keys, sealer, "webhook");
  const replay = createReplay({
    destination: id,
    store,
    journal: openJournalReader(redis, journalKeys(config.REDIS_PREFIX), options.sealer),
    outbox,
    waiting: () => redis.zrange(keys.open, "0", "-1"),
    backlog: config.DESTINATION_BACKLOG,
    wants: (entry) => ruleFor(entry).rule !== undefined,
    onRunnable: (messages) => void queue.add(messages),
    onForged: () => options.forgeries.note("destination", id),
    signal,
    log,
  });
  /** The last entry that was looked at by the rules that there are. */
  let seen = START;
  const handler = toDestination({
    ...choosing,
    outbox: openOutbox(redis, keys, sealer, atMost(config.DESTINATION_BACKLOG)),
    sealer,
    source: sourceOf(config.REDIS_PREFIX),
    onRunnable: (message) => void queue.add([message]),
    replay,
    async redriven(entry, as) {
      if ((await redis.zscore(keys.dead, entry)) !== null) await deadLetters.noteRedriven(entry, as);
    },
  });

  return {
    update(next) {
      if (definition(next) === definition(current)) return false;
      const rulesChanged = next.version !== current.version;
      current = next;
      sender.update(next);
      if (rulesChanged) published.changedAt(seen);
      return true;
    },
    handler: {
      ...handler,
      plan(entry) {
        if (compareIds(entry.id, seen) > 0) seen = entry.id;
        return handler.plan(entry);
      },
      placed(cursor) {
        seen = replay.liveFrom(cursor);
        published.changedAt(seen);
      },
      noted: replay.noted,
      rewind: replay.rewind,
    },
    report: () => ({
      id,
      url: withoutCredentials(current.url),
      ...shown(breaker.state()),
      in_flight: breaker.running(),
      ...counts.report(),
      payload_problem: payloads.problem() ?? null,
      load,
    }),
    async run() {
      await stateSync.load();
      const loops = [stateSync.run(), published.run(), watchLoad(), replay.run(), attempts.run(), forged];
      await Promise.all([dispatcher.run(), ...loops]);
    },
    close: sender.close,
  };
}

/** All that a destination is, in a text: its rules by their version, since filters are functions. */
const definition = (destination: Destination): string => JSON.stringify({ ...destination, rules: undefined });

const iso = (ms: number): string => new Date(ms).toISOString();

const shown = ({ state, reason, since, until }: DestinationState) => ({
  state,
  reason: reason || null,
  since: state === "ok" ? null : iso(since),
  until: state === "paused" ? iso(until) : null,
});
