import type { Proof } from "../../shared/commands/proof.ts";
import { BoundedMap } from "../../shared/util/bounded-map.ts";
import type { Evidence } from "./admission-state.ts";
import type { Candidate, Effect } from "./circuit.ts";

/** For how many commands it is remembered when they were first sent in vain. */
const MAX_MISSED = 20_000;
/** How many units and incidents are remembered as answered: those of several large agencies. */
const MAX_REMEMBERED = 100_000;
/**
 * A miss is the command's own only if another was answered that was sent so much later, as a part of the time that an answer is
 * waited for. What was in flight together when a database stopped is no evidence: some of it was answered, and some was not.
 */
const LATER = 0.2;

/** What this CAD answered so far, which decides what a miss says. Times by the process's clock, ms. */
export class Answers {
  readonly #confirmMs: number;
  /** For each key: a write about it was proved, or something else was answered. */
  readonly #keys = new BoundedMap<string, "write" | "other">(MAX_REMEMBERED);
  /** When the last of those commands was sent that were answered. */
  readonly #answeredUpTo: Record<Effect, number> = { sets: -Infinity, adds: -Infinity };
  /** When a command that went unanswered was first sent. */
  readonly #firstSent = new BoundedMap<string, number>(MAX_MISSED);
  #count = 0;

  /** @param confirmMs how long an answer is waited for, ms */
  constructor(confirmMs: number) {
    this.#confirmMs = confirmMs;
  }

  get count(): number {
    return this.#count;
  }

  /** A write was proved about all its units and incidents. */
  isKnown(command: Candidate): boolean {
    return command.keys.every((key) => this.#keys.get(key) === "write");
  }

  /** Something was answered about all its units and incidents. */
  hasAnswers(command: Candidate): boolean {
    return command.keys.every((key) => this.#keys.has(key));
  }

  /**
   * When a command that went unanswered was first sent by this process: whether anything was answered since distinguishes a fault of its own
   * from an outage, however often it is resent.
   */
  firstSent({ id }: Candidate, sentAt: number): number {
    const first = this.#firstSent.get(id) ?? sentAt;
    this.#firstSent.set(id, first);
    return first;
  }

  /** True if a command of the same kind that was sent clearly later was answered. */
  hasLater(effect: Effect, sentAt: number): boolean {
    return this.#answeredUpTo[effect] >= sentAt + LATER * this.#confirmMs;
  }

  /** Notes an answer, and returns what it is evidence of. An ack proves a write only of a command that sets a value. */
  noteProof(command: Candidate, proof: Proof, sentAt: number): Evidence {
    this.#count += 1;
    const isWrite = proof === "echoed" || (proof === "acknowledged" && command.effect === "sets");
    if (proof !== "received") this.#noteSent("adds", sentAt);
    if (isWrite) this.#noteSent("sets", sentAt);
    for (const key of command.keys) {
      if (isWrite || !this.#keys.has(key)) this.#keys.set(key, isWrite ? "write" : "other");
    }
    return isWrite ? "write" : proof === "received" ? "receipt" : "relay";
  }

  /** The ack or echo did not come, but the barrier's answer did. */
  noteMiss(): void {
    this.#count += 1;
  }

  #noteSent(effect: Effect, sentAt: number): void {
    this.#answeredUpTo[effect] = Math.max(this.#answeredUpTo[effect], sentAt);
  }
}
