import { BoundedMap } from "../../shared/util/bounded-map.ts";
import type { Mark } from "./payload.ts";

/** `command` arrived after `after` although it was issued earlier, and both concern `key`. */
export interface Violation {
  key: string;
  command: Stamp;
  after: Stamp;
}

export interface Stamp {
  commandId: string;
  issuedAt: string;
}

const MAX_EXAMPLES = 100;

/**
 * Checks the order of commands as they arrive: within a key, first deliveries must have non-decreasing issue times (a
 * dead letter that is resent in its place keeps its time). Constant time per command; memory for at most `max` commands
 * and keys.
 */
export class OrderCheck {
  /** Commands that arrived for the first time. */
  commands = 0;
  /** Commands that arrived again. */
  duplicates = 0;
  /** First deliveries that arrived after a newer command of the same key; counted per key. */
  violations = 0;
  /** Commands that arrived again after a newer one of one of their keys. */
  lateRepeats = 0;
  readonly violationExamples: Violation[] = [];
  readonly lateRepeatExamples: Violation[] = [];
  readonly #times: BoundedMap<string, number>;
  readonly #newest: BoundedMap<string, Stamp>;

  constructor(max: number) {
    this.#times = new BoundedMap(max);
    this.#newest = new BoundedMap(max);
  }

  /** Records a command; returns how many times it has arrived so far (1: for the first time). */
  note({ commandId, issuedAt }: Mark, keys: readonly string[]): number {
    const times = (this.#times.get(commandId) ?? 0) + 1;
    this.#times.set(commandId, times);
    if (times === 1) this.commands += 1;
    else this.duplicates += 1;
    if (issuedAt === null) return times;
    if (times === 1) this.#judgeFirst({ commandId, issuedAt }, keys);
    else this.#judgeRepeat({ commandId, issuedAt }, keys);
    return times;
  }

  #judgeFirst(command: Stamp, keys: readonly string[]): void {
    for (const key of keys) {
      const newest = this.#newest.get(key);
      if (newest === undefined || command.issuedAt >= newest.issuedAt) {
        this.#newest.set(key, command);
      } else {
        this.violations += 1;
        keep(this.violationExamples, { key, command, after: newest });
      }
    }
  }

  #judgeRepeat(command: Stamp, keys: readonly string[]): void {
    for (const key of keys) {
      const newest = this.#newest.get(key);
      if (newest === undefined || command.issuedAt >= newest.issuedAt) continue;
      this.lateRepeats += 1;
      keep(this.lateRepeatExamples, { key, command, after: newest });
      return;
    }
  }
}

function keep(examples: Violation[], violation: Violation): void {
  if (examples.length < MAX_EXAMPLES) examples.push(violation);
}
