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
/** How many are written at once, and characters of their payloads: a batch must get through a slow network in time. */
const BATCH = 256;
const BATCH_SIZE = 1_000_000;

/** Takes the CAD's events, and writes them to the journal in the order of arrival. */
export interface Inbound {
  /** Resolves to true once it is in the journal, to false if it never will be. Never rejects, whatever the CAD sent. */
  take(event: Taken): Promise<boolean>;
  /** Writes an entry of the bridge itself; false if there is no room for it now. */
  say(event: string, keys: readonly OrderingKey[], payload: unknown, more?: EntryOptions): Promise<boolean>;
  /** New events wait, so that missed ones can be written first; `say` and recovered events do not wait. */
  hold(): void;
  release(): void;
  /** Resolves to true once everything taken before, and not held, is in the journal; to false if it never will be. */
  flushed(): Promise<boolean>;
  /** How many events could not be kept since the last `found`: they are to be recovered, or recorded as a gap. */
  lost(): number;
  found(): void;
  /** How many recovered events were written so far. */
  recovered(): number;
  counts(): WorkerHealth["events"];
  /**
   * Writes until the signal aborts and nothing is left, or the lease is lost.
   * @param ready nothing is written before it resolves
   */
  run(ready: Promise<unknown>): Promise<void>;
}

export interface InboundOptions {
  events: readonly CadEvent[];
  journal: Pick<JournalWriter, "append">;
  /** What was written, in order. */
  onWritten(entries: readonly JournalEntry[]): void;
  /** More came than can be kept: the CAD is to be asked again for what was lost. */
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

  /** Held events leave room for those to be written before them, but not the other way round: both end up in one queue. */
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

  /** The next batch: at least one event, however large. */
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
    async run(ready) {
      try {
        await ready;
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
