import type { CadEvent } from "../../shared/events/event.ts";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import type { JournalWriter } from "../../shared/journal/write.ts";
import type { Measure } from "../../shared/metrics/measure.ts";
import type { Log } from "../../shared/util/log.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import type { Micros } from "../../shared/util/time.ts";
import { createReader, type Read, type EntryOptions, sayEntry, type Taken } from "./inbound-reader.ts";

/** How many events wait for the journal at most: some seconds of a burst, while Redis does not answer. */
const MAX_PENDING = 20_000;
/** The same in characters of their payloads, about. */
const MAX_PENDING_SIZE = 64_000_000;
/** How many are written at once, and characters of their payloads: a batch must get through a thin line in time. */
const BATCH = 256;
const BATCH_SIZE = 1_000_000;

/** Takes the CAD's events, and writes them into the journal in the order in which they came. */
export interface Inbound {
  /** Answers true once it is in the journal, false if it never will be. Whatever the CAD sent, it never throws. */
  take(event: Taken): Promise<boolean>;
  /** Something that the bridge itself has to say; false if there is no room for it now. */
  say(event: string, keys: readonly OrderingKey[], payload: unknown, more?: EntryOptions): Promise<boolean>;
  /** What comes from now on waits, so that what was missed before can be written first; `say` and recovered events do not. */
  hold(): void;
  release(): void;
  /** Answers true once everything that was taken before, and is not held, is in the journal; false if it never will be. */
  flushed(): Promise<boolean>;
  /** How many events could not be kept since the last `found`: they are to be recovered, or told of as a gap. */
  lost(): number;
  found(): void;
  /** How many that had been missed at first were written so far. */
  recovered(): number;
  counts(): WorkerHealth["events"];
  /** Writes until the signal aborts and nothing is left, or the CAD is not ours any more. */
  run(): Promise<void>;
}

export interface InboundOptions {
  events: readonly CadEvent[];
  journal: Pick<JournalWriter, "append">;
  /** Nothing is written before. */
  ready: Promise<unknown>;
  /** What was written, in its order. */
  onWritten(entries: readonly JournalEntry[]): void;
  /** More came than can be kept: the CAD is to be asked again for what is lost now. */
  onOverflow(): void;
  now: () => Micros;
  measure: Measure;
  signal: AbortSignal;
  log: Log;
}

interface Pending extends Read {
  takenAt: number;
  written(inJournal: boolean): void;
}

export function createInbound(options: InboundOptions): Inbound {
  const { journal, signal, log } = options;
  const reader = createReader(options.events, options.now, log);
  let queue: Pending[] = [];
  let queued = 0;
  let held: Pending[] | undefined;
  let heldSize = 0;
  let flushing: { upTo: number; done(inJournal: boolean): void }[] = [];
  let entered = 0;
  let written = 0;
  let lost = 0;
  let recovered = 0;
  let over = false;
  let wake = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => wake.resolve(), { once: true });

  function enter(...pending: Pending[]): void {
    for (const p of pending) {
      queue.push(p);
      queued += p.size;
    }
    entered += pending.length;
    wake.resolve();
  }

  function lose(): void {
    lost += 1;
    if (lost > 1) return;
    log.error({ pending: queue.length }, "the journal buffer is full: further events will be recovered from the CAD");
    options.onOverflow();
  }

  /** What is held leaves room for what is to be written before it, but not the other way round: it comes into the same queue. */
  function hasRoom(mayWait: boolean): boolean {
    const [count, sum] = mayWait ? [held?.length ?? 0, heldSize] : [0, 0];
    return queue.length + count < MAX_PENDING && queued + sum < MAX_PENDING_SIZE;
  }

  function add(read: Read, mayWait: boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const pending = { ...read, takenAt: performance.now(), written: resolve };
      if (!mayWait || !held) return enter(pending);
      held.push(pending);
      heldSize += read.size;
    });
  }

  /** The next few, of which the first goes in any case. */
  function nextBatch(): Pending[] {
    let size = 0;
    const end = queue.findIndex((p, i) => i >= BATCH || (size += p.size) > BATCH_SIZE);
    const batch = queue.slice(0, end < 0 ? queue.length : Math.max(1, end));
    queue = queue.slice(batch.length);
    queued -= batch.reduce((sum, p) => sum + p.size, 0);
    return batch;
  }

  async function writeAll(): Promise<void> {
    while (queue.length > 0) {
      const batch = nextBatch();
      try {
        const now = performance.now();
        const entries = await journal.append(batch.map((p) => ({ ...p.entry, ageMs: now - p.takenAt })));
        written += batch.length;
        recovered += entries.filter((e) => e?.kind !== "bridge" && e?.recovered).length;
        for (const p of batch) {
          p.written(true);
          options.measure.observe("socket_bridge_event_to_journal_seconds", (performance.now() - p.takenAt) / 1000);
        }
        options.onWritten(entries.filter((e) => e !== undefined));
      } catch (error) {
        for (const p of batch) p.written(false);
        throw error;
      }
      for (const f of flushing) if (f.upTo <= written) f.done(true);
      flushing = flushing.filter((f) => f.upTo > written);
    }
  }

  return {
    async take(taken) {
      const read = reader.read(taken);
      const mayWait = taken.recovered === undefined;
      if (!over && hasRoom(mayWait)) return await add(read, mayWait);
      if (!over) lose();
      return false;
    },
    async say(event, keys, payload, more) {
      return !over && hasRoom(false) && (await add(sayEntry(event, keys, payload, more), false));
    },
    hold: () => void (held ??= []),
    release() {
      enter(...(held ?? []));
      held = undefined;
      heldSize = 0;
    },
    async flushed() {
      if (over || entered === written) return !over;
      return await new Promise((done) => flushing.push({ upTo: entered, done }));
    },
    lost: () => lost,
    found: () => void (lost = 0),
    recovered: () => recovered,
    counts: reader.counts,
    async run() {
      try {
        await options.ready;
        for (;;) {
          await writeAll();
          if (signal.aborted) return;
          wake = Promise.withResolvers();
          if (queue.length === 0) await wake.promise;
        }
      } finally {
        over = true;
        for (const p of [...queue, ...(held ?? [])]) p.written(false);
        for (const f of flushing) f.done(false);
      }
    },
  };
}
