import { setImmediate as nextTurn } from "node:timers/promises";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import { compareIds, type JournalReader, START } from "../../shared/journal/read.ts";
import type { ConsumerRecord, Handled } from "../../shared/journal/record.ts";
import type { Log } from "../../shared/util/log.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { createAttempts, type Outcome, reasonOf } from "./attempts.ts";
import type { Handler, Task } from "./handlers/handler.ts";

/** How many entries a handler works on at once; none of them share a unit or an incident. */
const WINDOW = 256;
/** How much it works on at once, and how much waits beside it, characters of payloads as they are stored: see WINDOW, MAX_AHEAD. */
const MAX_SIZE = 8_000_000;
/** A handler that takes so long to say what it makes of an entry is not asked about the next before others had their turn, ms. */
const LONG_MS = 10;
/** How often what was done is noted, ms: after a crash, that much is done again. */
const NOTE_MS = 100;
/** How many written entries wait in memory for a slow handler; beyond, it reads them from the journal again. */
const MAX_AHEAD = 500;
const PAGE = 500;
/** How soon the journal is read again after that failed, ms. */
const READ_AGAIN_MS = 1000;

export interface ConsumerOptions {
  handler: Handler;
  journal: JournalReader;
  record: ConsumerRecord;
  /** How long a handler may take for one entry, ms; beyond, it has failed at it. */
  handleMs: number;
  /** The journal was trimmed before the handler came to what lay between these entries. Throws if it cannot be told. */
  onSkipped(from: string, to: string): Promise<void>;
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
  /** Why it cannot read the journal on, in words that may be shown; null if it can. */
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

export function createConsumer(options: ConsumerOptions): Consumer {
  const { handler, journal, record, signal, log } = options;
  /** Read so far; what is not done of it is in `open`, in the order of the journal. */
  let position = START;
  let cursor = START;
  let done = 0;
  let failed = 0;
  let skipped = 0;
  let lastError: string | null = null;
  let readingProblem: string | null = null;
  /** The size of each. */
  const open = new Map<string, number>();
  let openSize = 0;
  const lastOfKey = new Map<string, Promise<void>>();
  const running = new Set<Promise<void>>();
  let turns = Promise.resolve();
  let outcomes: (Handled & { entry: string })[] = [];
  /** Entries that came while it keeps up; undefined while it is behind, and reads the journal. */
  let ahead: { entries: JournalEntry[]; size: number } | undefined;
  const placed = Promise.withResolvers<void>();
  let wake = Promise.withResolvers<void>();
  signal.addEventListener(
    "abort",
    () => {
      placed.resolve();
      wake.resolve();
    },
    { once: true },
  );

  const attempt = createAttempts({
    handler: handler.name,
    handleMs: options.handleMs,
    waitMs: options.waitMs,
    onTrouble: (reason) => void (lastError = reason),
    signal,
    log,
  });

  /** Where it was; a handler that is new begins with what comes from now on. */
  async function place(): Promise<void> {
    const known = await record.cursor(handler.name);
    position = cursor = known ?? (await journal.bounds()).newest;
    if (known === undefined) await record.note(handler.name, [], position);
    placed.resolve();
  }

  function finish(entry: string, outcome: Outcome): void {
    openSize -= open.get(entry) ?? 0;
    open.delete(entry);
    outcomes.push({ entry, handler: handler.name, ...outcome });
    if (outcome.outcome === "done") done += 1;
    else {
      failed += 1;
      log.error({ handler: handler.name, entry, reason: outcome.error }, "a handler failed for good at an entry");
    }
    wake.resolve();
  }

  /**
   * What the handler makes of an entry. Where it throws at it, each try asks again, and meets what it throws: one try in a turn,
   * since what it throws may be that it took too long.
   */
  function plan(entry: JournalEntry): Task | undefined {
    try {
      return handler.plan(entry);
    } catch {
      return async () => {
        await (turns = turns.then(() => nextTurn()));
        await handler.plan(entry)?.();
      };
    }
  }

  /** Waits for those before it that share a unit or an incident with it. */
  async function workOn({ id, keys }: JournalEntry, task: Task): Promise<void> {
    await Promise.all(keys.flatMap((key) => lastOfKey.get(key) ?? []));
    const outcome = await attempt(id, task);
    if (outcome) finish(id, outcome);
  }

  function begin(entry: JournalEntry): void {
    position = entry.id;
    const task = plan(entry);
    if (!task) return;
    open.set(entry.id, entry.size);
    openSize += entry.size;
    const mine = workOn(entry, task);
    running.add(mine);
    void mine.then(() => running.delete(mine));
    for (const key of entry.keys) {
      lastOfKey.set(key, mine);
      void mine.then(() => lastOfKey.get(key) === mine && lastOfKey.delete(key));
    }
  }

  const hasRoom = () => open.size < WINDOW && openSize < MAX_SIZE;

  async function room(): Promise<void> {
    while (!hasRoom() && !signal.aborted) {
      wake = Promise.withResolvers();
      await wake.promise;
    }
  }

  async function take(entries: readonly JournalEntry[]): Promise<void> {
    for (const entry of entries) {
      if (compareIds(entry.id, position) <= 0) continue;
      await room();
      if (signal.aborted) return;
      const from = performance.now();
      begin(entry);
      if (performance.now() - from > LONG_MS) await nextTurn();
    }
  }

  /** One page of the journal; what is written while it is read waits, and if the page was the last, it keeps up from then on. */
  async function catchUp(): Promise<void> {
    ahead = { entries: [], size: 0 };
    const { entries, more } = await journal.page(position, PAGE);
    if (more) ahead = undefined;
    await noticeSkipped();
    readingProblem = null;
    await take(entries);
  }

  /** Whether something after the position was gone before it was read. Where the last that was done is gone too, it may be that alone. */
  async function noticeSkipped(): Promise<void> {
    const { oldest, newest, trimmed } = await journal.bounds();
    const next = oldest ?? newest;
    const nothingBetween =
      compareIds(next, position) <= 0 || (oldest !== undefined && cursorBefore(oldest) === position);
    if (!trimmed || nothingBetween) return;
    log.error(
      { handler: handler.name, from: position, to: next },
      "entries were gone from the journal before a handler came to them",
    );
    await options.onSkipped(position, next);
    skipped += 1;
    position = oldest === undefined ? newest : cursorBefore(oldest);
  }

  async function keepUp(): Promise<void> {
    while (ahead && !signal.aborted) {
      const { entries } = ahead;
      ahead = { entries: [], size: 0 };
      await take(entries);
      if (ahead?.entries.length !== 0) continue;
      wake = Promise.withResolvers();
      await wake.promise;
    }
  }

  /** Told once: a key may be missing for long. */
  function cannotRead(reason: string): void {
    if (readingProblem !== reason)
      log.warn({ handler: handler.name, reason }, "a handler cannot read the journal: it is tried again");
    readingProblem = reason;
    lastError = reason;
  }

  async function noteProgress(): Promise<void> {
    const noted = outcomes;
    // All before the first that is not done; an entry that was not wanted is done.
    const [first] = open.keys();
    const next = first === undefined ? position : cursorBefore(first);
    if (noted.length === 0 && next === cursor) return;
    outcomes = [];
    try {
      await record.note(handler.name, noted, next);
      cursor = next;
    } catch (error) {
      outcomes = [...noted, ...outcomes].slice(-MAX_AHEAD);
      throw error;
    }
  }

  async function keepNoting(): Promise<void> {
    while (!signal.aborted) {
      await sleep(NOTE_MS, signal);
      await noteProgress().catch(() => undefined);
    }
  }

  return {
    placed: placed.promise,
    written(entries) {
      if (!ahead) return;
      ahead.entries.push(...entries);
      ahead.size += entries.reduce((sum, { size }) => sum + size, 0);
      if (ahead.entries.length > MAX_AHEAD || ahead.size > MAX_SIZE) ahead = undefined;
      wake.resolve();
    },
    status: () => ({
      handler: handler.name,
      what: handler.what,
      cursor,
      done,
      failed,
      skipped,
      running: open.size,
      reading_problem: readingProblem,
      last_error: lastError,
    }),
    async run() {
      const noting = keepNoting();
      for (let started = false; !signal.aborted;) {
        try {
          if (!started) await place();
          started = true;
          await catchUp();
          await keepUp();
        } catch (error) {
          cannotRead(reasonOf(error));
          await sleep(READ_AGAIN_MS, signal);
        }
      }
      await noting;
      await Promise.allSettled(running);
      await noteProgress().catch(() => undefined);
    },
  };
}

/** An id right before that one: what is to be done again after a crash begins with the entry itself. */
function cursorBefore(id: string): string {
  const [ms = 0, number = 0] = id.split("-").map(Number);
  return number > 0 ? `${ms}-${number - 1}` : `${ms - 1}-${Number.MAX_SAFE_INTEGER}`;
}
