import { setImmediate as nextTurn } from "node:timers/promises";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import type { Checkpoints } from "../../shared/journal/checkpoints.ts";
import { compareIds, idBefore, START } from "../../shared/redis/stream-id.ts";
import type { JournalReader } from "../../shared/journal/read.ts";
import type { Log } from "../../shared/util/log.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { createAttempts, reasonOf } from "./attempts.ts";
import { type ConsumerEvent, type ConsumerState, INITIAL, nextState } from "./consumer-state.ts";
import { createEntryWindow } from "./entry-window.ts";
import { createEntryWork } from "./entry-work.ts";
import type { Handler } from "./handlers/handler.ts";
import { createPlacement } from "./placement.ts";
import { createProgress } from "./progress.ts";
import { createWrittenBuffer } from "./written-buffer.ts";

/** How many entries a handler works on at once; none of them share a unit or an incident. */
const WINDOW = 256;
/** How much it works on at once, and how much waits beside it, bytes of payloads as they are stored: see WINDOW, MAX_BUFFERED. */
const MAX_SIZE = 8_000_000;
/** After a handler took this long to plan an entry, others get their turn before the next entry, ms. */
const LONG_MS = 10;
/** How many written entries wait in memory for a slow handler; beyond, it reads them from the journal again. */
const MAX_BUFFERED = 500;
const PAGE = 500;
/** How soon the journal is read again after that failed, ms. */
const READ_AGAIN_MS = 1000;

export interface ConsumerOptions {
  handler: Handler;
  journal: JournalReader;
  checkpoints: Checkpoints;
  /** How long a handler may take for one entry, ms; beyond, it has failed at it. */
  handleMs: number;
  /** The journal was trimmed before the handler reached the entries between these. Throws if that cannot be recorded. */
  onSkipped(from: string, to: string): Promise<void>;
  /** Something of the journal was changed in Redis. */
  onForged(what: string): void;
  /** How long to wait before that try, ms. */
  waitMs(tries: number): number;
  signal: AbortSignal;
  log: Log;
}

export interface ConsumerStatus {
  handler: string;
  what: string;
  /** Up to which entry everything is done. */
  cursor: string;
  done: number;
  failed: number;
  /** How often entries were gone from the journal before the handler came to them. */
  skipped: number;
  running: number;
  /** Why it cannot read the journal, safe to show; null if it can. */
  reading_problem: string | null;
  last_error: string | null;
}

/** Takes one handler through the journal: from where it was, and then along with what is written. */
export interface Consumer {
  /** Resolves once it is known where it begins: nothing may be written before, or a new handler would miss it. */
  readonly placed: Promise<void>;
  /** These were written just now. */
  written(entries: readonly JournalEntry[]): void;
  status(): ConsumerStatus;
  run(): Promise<void>;
}

/**
 * The loop that feeds the states of consumer-state.ts: it does the work of a state, and continues by its outcome. Where a handler
 * begins is in placement.ts, what it does with an entry in entry-work.ts, and how far it is in progress.ts.
 */
export function createConsumer(options: ConsumerOptions): Consumer {
  const { handler, journal, checkpoints, onForged, signal, log } = options;
  const buffer = createWrittenBuffer(MAX_BUFFERED, MAX_SIZE, signal);
  const window = createEntryWindow(WINDOW, MAX_SIZE, signal);
  let state: ConsumerState = INITIAL;
  /** Read up to here; what is not done of it is in the window. */
  let position = START;
  let skipped = 0;
  const trouble: { last: string | null; reading: string | null } = { last: null, reading: null };
  const progress = createProgress({
    handler: handler.name,
    checkpoints,
    // All before the first that is not done; an entry that was not wanted is done.
    doneUpTo() {
      const first = window.oldest();
      return first === undefined ? position : idBefore(first);
    },
    onStored: (checkpoint) => handler.noted?.(checkpoint),
    signal,
  });
  const attempt = createAttempts({
    handler: handler.name,
    handleMs: options.handleMs,
    waitMs: options.waitMs,
    onTrouble: (reason) => void (trouble.last = reason),
    signal,
    log,
  });
  const work = createEntryWork({ handler, window, progress, attempt, onForged, log });
  const place = createPlacement({
    ...{ handler, journal, checkpoints, onForged },
    onPlaced(at) {
      position = at;
      progress.beginAt(at);
    },
  });
  const placed = Promise.withResolvers<void>();
  // What is held is written even then: a new handler needs its place before that too, or it would miss it.
  signal.addEventListener("abort", () => void place().then(placed.resolve, () => placed.resolve()), { once: true });

  /** Does the work of a state. */
  const steps: Record<Exclude<ConsumerState["name"], "stopped">, () => Promise<ConsumerEvent>> = {
    async placing() {
      await place();
      placed.resolve();
      handler.placed?.(position);
      return { type: "placed" };
    },
    async reading() {
      if (handler.rewind?.wanted()) return { type: "rewind" };
      buffer.open();
      const { entries, more } = await journal.page(position, PAGE);
      await skipTrimmed();
      trouble.reading = null;
      await take(entries);
      return { type: "page", last: !more };
    },
    async following() {
      await buffer.filled();
      if (handler.rewind?.wanted()) return { type: "rewind" };
      const entries = buffer.take();
      if (!entries) return { type: "overflowed" };
      await take(entries);
      return { type: "batch" };
    },
    async rewinding() {
      await window.idle();
      await progress.store();
      // After one that was stored, and not noticed, there is nothing left to do but to store the progress.
      if (handler.rewind?.wanted()) position = await handler.rewind.go(position);
      await progress.store();
      return { type: "rewound" };
    },
    async retrying() {
      await sleep(READ_AGAIN_MS, signal);
      return { type: "waited" };
    },
  };

  async function take(entries: readonly JournalEntry[]): Promise<void> {
    for (const entry of entries) {
      if (compareIds(entry.id, position) <= 0) continue;
      await window.room();
      if (signal.aborted) return;
      const from = performance.now();
      position = entry.id;
      work.begin(entry);
      if (performance.now() - from > LONG_MS) await nextTurn();
    }
  }

  /** Reports entries after the position that were trimmed before they were read. If only the last one done is gone, none was. */
  async function skipTrimmed(): Promise<void> {
    const { oldest, newest, trimmed } = await journal.bounds();
    const next = oldest ?? newest;
    const nothingBetween = compareIds(next, position) <= 0 || (oldest !== undefined && idBefore(oldest) === position);
    if (!trimmed || nothingBetween) return;
    log.error(
      { handler: handler.name, from: position, to: next },
      "entries were gone from the journal before a handler came to them",
    );
    await options.onSkipped(position, next);
    skipped += 1;
    position = oldest === undefined ? newest : idBefore(oldest);
  }

  /** Logged once: a key may be missing for long. */
  function cannotRead(reason: string): void {
    if (trouble.reading !== reason)
      log.warn({ handler: handler.name, reason }, "a handler cannot read the journal: retrying");
    trouble.reading = trouble.last = reason;
  }

  async function step(name: keyof typeof steps): Promise<ConsumerEvent> {
    try {
      const event = await steps[name]();
      return signal.aborted ? { type: "stop" } : event;
    } catch (error) {
      cannotRead(reasonOf(error));
      return signal.aborted ? { type: "stop" } : { type: "failed" };
    }
  }

  return {
    placed: placed.promise,
    written: buffer.push,
    status: () => ({
      handler: handler.name,
      what: handler.what,
      cursor: progress.checkpoint(),
      ...work.counts(),
      skipped,
      running: window.size(),
      reading_problem: trouble.reading,
      last_error: trouble.last,
    }),
    async run() {
      const storing = progress.keepStoring();
      handler.rewind?.listen(buffer.interrupt);
      while (state.name !== "stopped") state = nextState(state, await step(state.name));
      await storing;
      await window.idle();
      await progress.store().catch(() => undefined);
    },
  };
}
