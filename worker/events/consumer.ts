import { setImmediate as nextTurn } from "node:timers/promises";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import type { Checkpoints, Handled } from "../../shared/journal/checkpoints.ts";
import { compareIds, idBefore, START } from "../../shared/redis/stream-id.ts";
import type { JournalReader } from "../../shared/journal/read.ts";
import type { Log } from "../../shared/util/log.ts";
import { SealError } from "../../shared/sealing/seal.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { createAttempts, outcomeOf, reasonOf } from "./attempts.ts";
import { type ConsumerEvent, type ConsumerState, INITIAL, nextState } from "./consumer-state.ts";
import { createEntryWindow } from "./entry-window.ts";
import type { Declined, Handler, Task } from "./handlers/handler.ts";
import { createWrittenBuffer } from "./written-buffer.ts";

/** How many entries a handler works on at once; none of them share a unit or an incident. */
const WINDOW = 256;
/** How much it works on at once, and how much waits beside it, bytes of payloads as they are stored: see WINDOW, MAX_BUFFERED. */
const MAX_SIZE = 8_000_000;
/** A handler that takes so long to say what it makes of an entry is not asked about the next before others had their turn, ms. */
const LONG_MS = 10;
/** How often what was done is noted, ms: after a crash, that much is done again. */
const NOTE_MS = 100;
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

const missingBefore = ({ id, missing }: JournalEntry) => `before ${id}, of which ${missing} are missing`;

export function createConsumer(options: ConsumerOptions): Consumer {
  const { handler, journal, checkpoints, signal, log } = options;
  const buffer = createWrittenBuffer(MAX_BUFFERED, MAX_SIZE, signal);
  const window = createEntryWindow(WINDOW, MAX_SIZE, signal);
  let state: ConsumerState = INITIAL;
  /** Read up to here; what is not done of it is in the window. */
  let position = START;
  let cursor = START;
  const counts = { done: 0, failed: 0, skipped: 0 };
  let lastError: string | null = null;
  let readingProblem: string | null = null;
  let turns = Promise.resolve();
  let outcomes: (Handled & { entry: string })[] = [];
  const placed = Promise.withResolvers<void>();
  let isPlaced = false;
  // What is held is written even then: a new handler needs its place before that too, or it would miss it.
  signal.addEventListener("abort", () => void place().then(placed.resolve, () => placed.resolve()), { once: true });

  const attempt = createAttempts({
    handler: handler.name,
    handleMs: options.handleMs,
    waitMs: options.waitMs,
    onTrouble: (reason) => void (lastError = reason),
    signal,
    log,
  });

  /** Does the work of the state, and answers what came of it. */
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
      await noticeSkipped();
      readingProblem = null;
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
      await noteProgress();
      // After one that was stored and not noted, there is nothing left to do but to note it.
      if (handler.rewind?.wanted()) position = await handler.rewind.go(position);
      await noteProgress();
      return { type: "rewound" };
    },
    async retrying() {
      await sleep(READ_AGAIN_MS, signal);
      return { type: "waited" };
    },
  };

  /** A handler that is new begins with what comes from now on. */
  async function place(): Promise<void> {
    if (isPlaced) return;
    const known = await cursorOf();
    const newest = known ?? (await journal.bounds()).newest;
    const from = (await handler.rewind?.resume(newest)) ?? newest;
    if (from !== known) await checkpoints.note(handler.name, [], from);
    if (isPlaced) return;
    position = cursor = from;
    isPlaced = true;
  }

  /** Instead of one that was changed in Redis the handler takes the oldest entry: what is done again is no harm, what is skipped is. */
  async function cursorOf(): Promise<string | undefined> {
    try {
      return await checkpoints.cursor(handler.name);
    } catch (error) {
      if (!(error instanceof SealError) || error.code !== "tampered") throw error;
      options.onForged(`cursor of ${handler.name}`);
      const { oldest, newest } = await journal.bounds();
      return oldest === undefined ? newest : idBefore(oldest);
    }
  }

  async function take(entries: readonly JournalEntry[]): Promise<void> {
    for (const entry of entries) {
      if (compareIds(entry.id, position) <= 0) continue;
      await window.room();
      if (signal.aborted) return;
      const from = performance.now();
      begin(entry);
      if (performance.now() - from > LONG_MS) await nextTurn();
    }
  }

  function begin(entry: JournalEntry): void {
    position = entry.id;
    if (entry.forged) return options.onForged(entry.id);
    if (entry.missing) options.onForged(missingBefore(entry));
    const planned = plan(entry);
    if (typeof planned === "function") window.run(entry, () => workOn(entry.id, planned));
    else if (planned)
      outcomes.push({ entry: entry.id, handler: handler.name, durationMs: 0, tries: 1, ...outcomeOf(planned) });
  }

  /**
   * What the handler makes of an entry. Where it throws at it, each try asks again, and meets what it throws: one try in a turn,
   * since what it throws may be that it took too long.
   */
  function plan(entry: JournalEntry): Task | Declined | undefined {
    try {
      return handler.plan(entry);
    } catch {
      return async () => {
        await (turns = turns.then(() => nextTurn()));
        const planned = handler.plan(entry);
        return typeof planned === "function" ? planned() : planned;
      };
    }
  }

  /** False if the worker stops before it is done. */
  async function workOn(entry: string, task: Task): Promise<boolean> {
    const outcome = await attempt(entry, task);
    if (!outcome) return false;
    outcomes.push({ entry, handler: handler.name, ...outcome });
    if (outcome.outcome !== "declined") counts[outcome.outcome] += 1;
    if (outcome.outcome === "failed") {
      log.error({ handler: handler.name, entry, reason: outcome.error }, "a handler gave up on an entry");
    }
    return true;
  }

  /** Whether entries after the position were trimmed before they were read. Where only the last one done is gone, none was. */
  async function noticeSkipped(): Promise<void> {
    const { oldest, newest, trimmed } = await journal.bounds();
    const next = oldest ?? newest;
    const nothingBetween = compareIds(next, position) <= 0 || (oldest !== undefined && idBefore(oldest) === position);
    if (!trimmed || nothingBetween) return;
    log.error(
      { handler: handler.name, from: position, to: next },
      "entries were gone from the journal before a handler came to them",
    );
    await options.onSkipped(position, next);
    counts.skipped += 1;
    position = oldest === undefined ? newest : idBefore(oldest);
  }

  /** Logged once: a key may be missing for long. */
  function cannotRead(reason: string): void {
    if (readingProblem !== reason)
      log.warn({ handler: handler.name, reason }, "a handler cannot read the journal: retrying");
    readingProblem = reason;
    lastError = reason;
  }

  async function noteProgress(): Promise<void> {
    const noted = outcomes;
    // All before the first that is not done; an entry that was not wanted is done.
    const first = window.oldest();
    const next = first === undefined ? position : idBefore(first);
    if (noted.length === 0 && next === cursor) return;
    outcomes = [];
    try {
      await checkpoints.note(handler.name, noted, next);
      cursor = next;
      handler.noted?.(next);
    } catch (error) {
      outcomes = [...noted, ...outcomes].slice(-MAX_BUFFERED);
      throw error;
    }
  }

  async function keepNoting(): Promise<void> {
    while (!signal.aborted) {
      await sleep(NOTE_MS, signal);
      await noteProgress().catch(() => undefined);
    }
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
      cursor,
      ...counts,
      running: window.size(),
      reading_problem: readingProblem,
      last_error: lastError,
    }),
    async run() {
      const noting = keepNoting();
      handler.rewind?.listen(buffer.interrupt);
      while (state.name !== "stopped") state = nextState(state, await step(state.name));
      await noting;
      await window.idle();
      await noteProgress().catch(() => undefined);
    },
  };
}
