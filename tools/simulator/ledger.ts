import { OrderCheck, type Violation } from "./order-check.ts";
import { keysOf, markOf } from "./payload.ts";

/**
 * What became of an emit in the CAD: `pending` is still being handled (or its process died first), `repeat` was
 * recognised and not applied again, `unhandled` has no handler, `failed` is an error on the CAD's console, `unechoed` one that came
 * after the write, `unchanged` an update of a row that is not there.
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
  /** The number of the connection, counted over restarts too. */
  connection: number;
  event: string;
  payload: unknown;
  keys: string[];
  commandId: string | null;
  issuedAt: string | null;
  /** How often this command has come by now; 0 for an emit that carries no command id. */
  delivery: number;
  first: boolean;
  outcome: EmitOutcome;
}

export interface LedgerSummary {
  received: number;
  /** Entries that can be read; those beyond the ledger's bound are only counted. */
  kept: number;
  commands: number;
  duplicates: number;
  /** Object payloads without a command id, or without an `issuedAt` to order them by: not checked. */
  unmarked: number;
  violations: number;
  lateRepeats: number;
  /** The same two, for the order in which the handlers finished instead of the order of arrival. */
  appliedViolations: number;
  appliedLateRepeats: number;
  byEvent: Record<string, number>;
}

const MAX_EVENT_NAMES = 1000;
const OTHER_EVENTS = "(others)";

/** Everything that the CAD received, and the judge of its order. Kept over restarts of the CAD. */
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
   * Enters an emit; the CAD calls what is returned once it is through with it. That call is for the book it was
   * entered in, so a handler that finishes after `clear` changes nothing.
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

  /** At most `limit` entries that came after the one numbered `after`. */
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

  /** The first 100 first deliveries that came after a newer command of the same unit or incident. */
  violations = (): readonly Violation[] => this.#book.delivered.violationExamples;
  lateRepeats = (): readonly Violation[] => this.#book.delivered.lateRepeatExamples;
  /** The same for the order in which the handlers finished: the order of what the CAD has stored. */
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
