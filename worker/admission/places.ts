import type { Answers } from "./answers.ts";
import type { Candidate } from "./circuit.ts";

/**
 * How many commands of one caller are in flight at once that are about a unit or incident of which this CAD never answered
 * anything. Their confirmations may all be missing, and each holds a place for seconds.
 */
export const MAX_UNKNOWN = 128;

/** Bounds what each caller has in flight about units and incidents that were never answered. */
export class Places {
  readonly #answers: Pick<Answers, "hasAnswers">;
  readonly #taken = new Map<string, number>();

  constructor(answers: Pick<Answers, "hasAnswers">) {
    this.#answers = answers;
  }

  has(command: Candidate): boolean {
    return this.#answers.hasAnswers(command) || (this.#taken.get(command.caller) ?? 0) < MAX_UNKNOWN;
  }

  /** Returns whose place it took, to release it; undefined if it needs none. */
  take(command: Candidate): string | undefined {
    if (this.#answers.hasAnswers(command)) return undefined;
    this.#taken.set(command.caller, (this.#taken.get(command.caller) ?? 0) + 1);
    return command.caller;
  }

  release(caller: string): void {
    const count = (this.#taken.get(caller) ?? 0) - 1;
    if (count > 0) this.#taken.set(caller, count);
    else this.#taken.delete(caller);
  }
}
