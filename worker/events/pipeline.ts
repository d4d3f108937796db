import type { Redis } from "ioredis";
import { backoffMs } from "../../shared/util/backoff.ts";
import { createChanges } from "../../shared/util/changes.ts";
import { events } from "../../shared/events/table.ts";
import { withoutCredentials } from "../../shared/health/worker-health.ts";
import type { JournalKeys } from "../../shared/journal/keys.ts";
import { openGaps } from "../../shared/journal/gaps.ts";
import { openJournalReader } from "../../shared/journal/read.ts";
import { countMissing } from "../../shared/journal/missing.ts";
import { BRIDGE_EVENTS, type JournalEntry } from "../../shared/journal/entry.ts";
import { openCheckpoints } from "../../shared/journal/checkpoints.ts";
import { type JournalWriter, openJournalWriter } from "../../shared/journal/write.ts";
import { type Found, found } from "../../shared/health/problems.ts";
import type { Measure } from "../../shared/metrics/measure.ts";
import type { Log } from "../../shared/util/log.ts";
import { RedisFault } from "../../shared/redis/fault.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import type { Tracer } from "../../shared/tracing/tracer.ts";
import { openStateWriter } from "../../shared/state/apply.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";
import { nowMicros } from "../../shared/util/time.ts";
import type { WorkerConfig } from "../config/worker-env.ts";
import type { Forgeries } from "../delivery/forgeries.ts";
import { type Consumer, type ConsumerStatus, createConsumer } from "./consumer.ts";
import { highPriority } from "./handlers/high-priority.ts";
import { type Handler, HandlerError, type HandlerTools } from "./handlers/handler.ts";
import { state } from "./handlers/state.ts";
import { createInbound, type Inbound } from "./inbound.ts";
import { createRecovery, type Recovery } from "./recovery.ts";

const DAY_MS = 24 * 3_600_000;
/** How long a handler waits before it tries again, from, to, ms: about 8 s in all. */
const RETRY_FROM_MS = 250;
const RETRY_TO_MS = 5000;
/** How long a handler may take for one entry, ms: far longer than any network operation of one. */
const HANDLE_MS = 30_000;

export interface CadEventsOptions {
  config: Pick<WorkerConfig, "CAD_BACKEND_URL" | "JOURNAL_DAYS" | "JOURNAL_MAX" | "JOURNAL_MAX_BYTES">;
  redis: Redis;
  keys: JournalKeys;
  sealer: Sealer;
  forgeries: Pick<Forgeries, "note">;
  /** The owner's token. */
  token: string;
  /** Handlers beside the built-in ones. */
  more: readonly Handler[];
  random: () => number;
  measure: Measure;
  tracer?: Tracer;
  signal: AbortSignal;
  log: Log;
}

/** The path of the CAD's events: into the journal, and from there to every handler at its own pace. */
export interface CadEvents {
  inbound: Inbound;
  recovery: Recovery;
  handlers(): ConsumerStatus[];
  problems(): Found[];
  /** Begins or ends handlers while the others go on. One that ends finishes what it has in hand. */
  add(handler: Handler): void;
  remove(handler: string): void;
  run(): Promise<void>;
}

/** How often it is looked whether entries were deleted, and for how long at most, ms. */
const LOOK_FOR_MISSING_MS = 30_000;
const LOOK_MS = 5000;

/** A short hiccup of Redis is no standstill, ms. */
const STANDSTILL_MS = 5000;

/** What is wrong with the journal, by what its writer says. */
export function journalProblems(standstill: ReturnType<JournalWriter["standstill"]>, now: number): Found[] {
  if (!standstill || now - standstill.since.getTime() < STANDSTILL_MS) return [];
  return [found("journal-standstill", { reason: standstill.reason }, { since: standstill.since })];
}

export function createCadEvents(options: CadEventsOptions): CadEvents {
  const { config, redis, keys, sealer, token, random, signal, log } = options;
  const keptMs = config.JOURNAL_DAYS * DAY_MS;
  const cad = withoutCredentials(config.CAD_BACKEND_URL);
  const writer = openJournalWriter({
    redis,
    keys,
    sealer,
    token,
    cad,
    keptMs,
    maxEntries: config.JOURNAL_MAX,
    maxBytes: config.JOURNAL_MAX_BYTES,
    signal,
    log,
    onForged: (what) => options.forgeries.note("record", what),
    ...(options.tracer && { tracer: options.tracer }),
  });
  const checkpoints = openCheckpoints(redis, keys, sealer, token, keptMs, config.JOURNAL_MAX);

  const written = createChanges<readonly JournalEntry[]>();
  const overflow = createChanges();
  const inbound = createInbound({
    events,
    journal: writer,
    onWritten: written.notify,
    onOverflow: overflow.notify,
    now: nowMicros,
    measure: options.measure,
    signal,
    log,
  });
  const gaps = openGaps(redis, keys, sealer, Date.now, () => options.forgeries.note("record", "gap"));
  const recovery = createRecovery({ journal: writer, gaps, inbound, signal, log });
  overflow.listen(recovery.lost);

  const tools: HandlerTools = {
    async say(event, about, payload, once) {
      // No fault of the entry: it is retried until there is room.
      if (!(await inbound.say(event, about, payload, { once }))) throw new RedisFault("full");
    },
  };
  const consumers = new Map<string, { consumer: Consumer; stop: AbortController }>();
  const running = new Set<Promise<void>>();
  /** Of handlers that were removed: none begins anew before it has ended. */
  const ending = new Map<string, Promise<void>>();

  function create(handler: Handler): Consumer {
    const stop = new AbortController();
    const consumer = createConsumer({
      handler,
      journal: openJournalReader(redis, keys, sealer),
      checkpoints,
      handleMs: HANDLE_MS,
      async onSkipped(from, to) {
        const payload = { handler: handler.name, from, to };
        if (!(await inbound.say(BRIDGE_EVENTS.skipped, ["other"], payload)))
          throw new HandlerError("skipped entries could not be reported");
      },
      onForged: (what) => options.forgeries.note("event", what),
      waitMs: (tries) => backoffMs(tries, RETRY_FROM_MS, RETRY_TO_MS, random),
      signal: AbortSignal.any([signal, stop.signal]),
      log,
    });
    consumers.set(handler.name, { consumer, stop });
    return consumer;
  }
  const first = [state(openStateWriter(redis, keys, sealer)), highPriority(tools, log), ...options.more].map(create);

  function start(name: string, consumer: Consumer): void {
    const run = (async () => {
      await ending.get(name);
      await consumer.run();
    })();
    const done = run.finally(() => running.delete(done));
    running.add(done);
    const removed = () => {
      const ended = done.catch(() => undefined).finally(() => ending.get(name) === ended && ending.delete(name));
      ending.set(name, ended);
    };
    consumers.get(name)?.stop.signal.addEventListener("abort", removed);
  }
  written.listen((entries) => {
    for (const { consumer } of consumers.values()) consumer.written(entries);
  });

  /** Also where every handler has been: readers come later. The same ones are noted once. */
  async function watchForMissing(): Promise<void> {
    for (let known = 0; !signal.aborted; await sleep(LOOK_FOR_MISSING_MS, signal)) {
      const counted = withDeadline(countMissing(redis, keys, sealer), LOOK_MS, "counting events");
      const count = await counted.catch(() => known);
      if (count > known) options.forgeries.note("event", `${count} of the journal are missing`);
      known = count;
    }
  }

  return {
    inbound,
    recovery,
    problems: () => journalProblems(writer.standstill(), Date.now()),
    handlers: () => [...consumers.values()].map(({ consumer }) => consumer.status()),
    add: (handler) => start(handler.name, create(handler)),
    remove(name) {
      consumers.get(name)?.stop.abort();
      consumers.delete(name);
    },
    async run() {
      const placed = Promise.all(first.map((consumer) => consumer.placed));
      for (const [name, { consumer }] of consumers) start(name, consumer);
      await Promise.all([inbound.run(placed), watchForMissing()]);
      while (running.size > 0) await Promise.all(running);
    },
  };
}
