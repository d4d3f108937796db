import { OrderCheck, type Violation } from "./order-check.ts";
import { keysOf, markOf } from "./payload.ts";

/**
 * Outcome of an emit in the CAD. `pending`: still being handled, or its process died first; `repeat`: recognised and not
 * applied again; `unhandled`: no handler; `failed`: an error on the CAD's console; `unechoed`: an error after the write;
 * `unchanged`: an update of a row that does not exist.
 */
export type EmitOutcome =
  | "pending"
  | "applied"
  | "unechoed"
  | "unchanged"
  | "repeat"
  | "refused"
  | "rejected"
  | "failed"
  | "unhandled"
  | "crashed";

export interface LedgerEntry {
  /** 1, 2, 3, … in the order of arrival. */
  seq: number;
  /** Milliseconds since 1970. */
  time: number;
  /** The number of the connection, counted across restarts. */
  connection: number;
  event: string;
  payload: unknown;
  keys: string[];
  commandId: string | null;
  issuedAt: string | null;
  /** How many times this command has arrived so far; 0 for an emit without a command id. */
  delivery: number;
  first: boolean;
  outcome: EmitOutcome;
}

export interface LedgerSummary {
  received: number;
  /** Entries that can be read; older ones beyond the ledger's limit are only counted. */
  kept: number;
  commands: number;
  duplicates: number;
  /** Object payloads without a command id, or without an `issuedAt` to order by: not checked. */
  unmarked: number;
  violations: number;
  lateRepeats: number;
  /** The same two counts for the order in which the handlers finished, instead of the order of arrival. */
  appliedViolations: number;
  appliedLateRepeats: number;
  byEvent: Record<string, number>;
}

const MAX_EVENT_NAMES = 1000;
const OTHER_EVENTS = "(others)";

/** Records everything the CAD receives and checks its order. Survives restarts of the CAD. */
export class Ledger {
  readonly #max: number;
  readonly #now: () => number;
  #book: Book;

  constructor({ max = 1_000_000, now = Date.now }: { max?: number; now?: () => number } = {}) {
    this.#max = max;
    this.#now = now;
    this.#book = openStore(max);
  }

  /**
   * Records an emit; the CAD calls the returned function when it has handled it. That call updates the book the emit was
   * recorded in, so a handler that finishes after `clear` changes nothing.
   */
  record(emit: { connection: number; event: string; payload: unknown }): (outcome: EmitOutcome) => void {
    const book = this.#book;
    const mark = markOf(emit.payload);
    const keys = keysOf(emit.event, emit.payload);
    const delivery = mark ? book.delivered.note(mark, keys) : 0;
    const entry: LedgerEntry = {
      seq: ++book.received,
      time: this.#now(),
      ...emit,
      keys,
      commandId: mark?.commandId ?? null,
      issuedAt: mark?.issuedAt ?? null,
      delivery,
      first: delivery === 1,
      outcome: "pending",
    };
    if (entry.issuedAt === null && typeof emit.payload === "object" && emit.payload !== null) book.unmarked += 1;
    if (book.entries.length < this.#max) book.entries.push(entry);
    const name = book.byEvent.has(emit.event) || book.byEvent.size < MAX_EVENT_NAMES ? emit.event : OTHER_EVENTS;
    book.byEvent.set(name, (book.byEvent.get(name) ?? 0) + 1);
    return (outcome) => {
      entry.outcome = outcome;
      if ((outcome === "applied" || outcome === "unechoed") && mark) book.applied.note(mark, keys);
    };
  }

  /** At most `limit` entries with a number above `after`. */
  entries({ after = 0, limit = 1000 }: { after?: number; limit?: number } = {}): readonly LedgerEntry[] {
    return this.#book.entries.slice(after, after + limit);
  }

  summary(): LedgerSummary {
    const { received, entries, unmarked, delivered, applied, byEvent } = this.#book;
    return {
      received,
      kept: entries.length,
      commands: delivered.commands,
      duplicates: delivered.duplicates,
      unmarked,
      violations: delivered.violations,
      lateRepeats: delivered.lateRepeats,
      appliedViolations: applied.violations,
      appliedLateRepeats: applied.lateRepeats,
      byEvent: Object.fromEntries(byEvent),
    };
  }

  /** The first 100 first deliveries that arrived after a newer command of the same unit or incident. */
  violations = (): readonly Violation[] => this.#book.delivered.violationExamples;
  lateRepeats = (): readonly Violation[] => this.#book.delivered.lateRepeatExamples;
  /** The same for the order in which the handlers finished, which is the order of what the CAD has stored. */
  appliedViolations = (): readonly Violation[] => this.#book.applied.violationExamples;

  clear(): void {
    this.#book = openStore(this.#max);
  }
}

type Book = ReturnType<typeof openStore>;

const openStore = (max: number) => ({
  received: 0,
  unmarked: 0,
  entries: [] as LedgerEntry[],
  byEvent: new Map<string, number>(),
  delivered: new OrderCheck(max),
  applied: new OrderCheck(max),
});
