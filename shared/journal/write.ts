import type { Redis } from "ioredis";
import { NotOwner } from "../outbox/owned.ts";
import type { Log } from "../util/log.ts";
import { redisFault, whyFailed } from "../redis/fault.ts";
import { openScript, type ScriptReply } from "../redis/script.ts";
import { storeClear } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import { NO_TRACER, type Tracer } from "../tracing/tracer.ts";
import { sleep } from "../util/sleep.ts";
import type { Micros } from "../util/time.ts";
import type { JournalEntry, NewEntry } from "./entry.ts";
import type { JournalKeys } from "./keys.ts";
import { type Batch, createEntryPreparer, type Prepared } from "./prepare-entries.ts";
import { trimJournal } from "./trim.ts";
import { CLOCK, NOTE_COMPLETE, WRITE } from "./write-scripts.ts";

/** How long a CAD's event id is remembered, ms: longer than any replay reaches back. */
export const SEEN_MS = 24 * 3_600_000;

export interface JournalOptions {
  redis: Redis;
  keys: JournalKeys;
  sealer: Sealer;
  /** Of the lease; only its holder may write. */
  token: string;
  /** The CAD's scheme and host. */
  cad: string;
  keptMs: number;
  maxEntries: number;
  /** See JournalBounds. */
  maxBytes: number;
  signal: AbortSignal;
  log: Log;
  /** Called for data in Redis that differs from what this bridge wrote. */
  onForged?(what: string): void;
  tracer?: Tracer;
}

/** Write access to the journal, for the leader only. */
export interface JournalWriter {
  /**
   * Writes the entries in this order, all or none, and retries while Redis is down. Returns each as stored, undefined for a
   * duplicate. One call at a time. Throws NotOwner, also when the signal aborts.
   */
  append(entries: readonly NewEntry[]): Promise<(JournalEntry | undefined)[]>;
  /**
   * Records that everything the CAD sent until then, by Redis's clock, is in the journal. A time, not an age: Redis may
   * receive this long after it was sent.
   */
  noteComplete(until: Micros): Promise<void>;
  /** What was recorded last (undefined if never), and the current time by Redis's clock. */
  completeUntil(): Promise<{ until: Micros | undefined; now: Micros }>;
  /** Since when writing fails, and why; undefined while it works. */
  standstill(): { since: Date; reason: string } | undefined;
}

/** Interval of trimming the journal by size, ms. */
const TRIM_MS = 30_000;
/** The same while Redis is full and needs the memory. */
const TRIM_FULL_MS = 1000;

export function openJournalWriter(options: JournalOptions): JournalWriter {
  const { redis, keys, sealer, token, cad, keptMs, maxEntries, maxBytes, tracer = NO_TRACER, signal, log } = options;
  const write = openScript(redis, WRITE, [keys.cad]);
  const noteComplete = openScript(redis, NOTE_COMPLETE, [keys.cad]);
  const readClock = openScript(redis, CLOCK, [keys.cad]);
  const { onForged } = options;
  const preparer = createEntryPreparer({ redis, keys, sealer, cad, tracer, ...(onForged && { onForged }) });
  let batches = 0;
  let answered = { batches: 0, n: 0 };
  let trimmedAt = -Infinity;
  let standing: { since: Date; reason: string } | undefined;

  /** At most once per `everyMs`. A failed trim is repeated next time. */
  async function trim(everyMs: number): Promise<void> {
    if (performance.now() - trimmedAt < everyMs) return;
    trimmedAt = performance.now();
    await trimJournal(redis, keys, { keptMs, maxEntries, maxBytes }).catch((error: unknown) =>
      log.warn({ reason: whyFailed(error) }, "the journal was not trimmed"),
    );
  }

  /** Whether Redis has them under the ids it returned. */
  async function areThere(ids: readonly string[], prepared: readonly Prepared[]): Promise<boolean> {
    const there = await Promise.all(
      ids.map(async (id, i) => {
        if (id === "") return true;
        const [row] = await redis.xrange(keys.journal, id, id);
        return row?.[1][row[1].indexOf("ref") + 1] === prepared[i]?.ref;
      }),
    );
    return ids.length === prepared.length && there.every(Boolean);
  }

  async function writeOnce(entries: readonly NewEntry[]): Promise<Batch & { ids: string[] }> {
    const calledAt = performance.now();
    let batch: Batch | undefined;
    for (let attempt = 1, sent = false; ; attempt += 1) {
      try {
        if (!batch) {
          batch = await preparer.prepare(entries, calledAt);
          if (batch.all.length === 0) return { ...batch, ids: [] };
          batches += 1;
        }
        const prepared = batch.all;
        const again = sent;
        sent = true;
        const settings = { token, seenMs: SEEN_MS, keptMs, maxEntries, cad };
        const ask = { ...settings, batch: batches, again, entries: prepared.map(({ stored }) => stored) };
        const [outcome, ...ids] = asList(await write(ask)).map(String);
        if (outcome === "ahead" && Number.isSafeInteger(Number(ids[0]))) {
          batches = Number(ids[0]) + 1;
          sent = false;
          continue;
        }
        const believed = outcome === "written" && (!again || (await areThere(ids, prepared)));
        if (!believed) throw new NotOwner();
        for (const { span } of prepared) span?.end();
        standing = undefined;
        return { ...batch, ids };
      } catch (error) {
        if (error instanceof NotOwner) throw error;
        standing = { since: standing?.since ?? new Date(), reason: whyFailed(error) };
        if (redisFault(error) === "full") await trim(TRIM_FULL_MS);
        if (attempt === 1)
          log.warn({ reason: redisFault(error) ?? whyFailed(error) }, "the journal cannot be written: retrying");
        await sleep(Math.min(50 * attempt, 1000), signal);
        if (signal.aborted) throw new NotOwner();
      }
    }
  }

  return {
    async append(entries) {
      const { ids, all, isNew } = await writeOnce(entries);
      answered = { batches, n: (await preparer.newest()).n };
      await trim(TRIM_MS);
      const written = all.map(({ entry, size }, i) => {
        const id = ids[i] ?? "";
        return id === "" ? undefined : { ...entry, id, cad, size };
      });
      return isNew.map((is) => (is ? written.shift() : undefined));
    },
    standstill: () => standing,
    async noteComplete(until) {
      const newest = await preparer.newest();
      const n = Math.max(answered.n, answered.batches === 0 ? newest.n : 0);
      const note = storeClear(sealer, "heard", keys.heard, `${until} ${n}`);
      await noteComplete({ token, batch: answered.batches, note });
    },
    async completeUntil() {
      const [now, note] = asList(await readClock());
      const newest = await preparer.newest();
      // If the note was changed or deleted, only the journal tells, and only its CAD entries.
      const known = newest.receivedAt > 0 && newest.ofCad ? newest.receivedAt : undefined;
      return { now: Number(now), until: preparer.openNote(String(note))?.heard ?? known };
    },
  };
}

const asList = (reply: ScriptReply): ScriptReply[] => (Array.isArray(reply) ? reply : []);
