import { setImmediate as nextTurn } from "node:timers/promises";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import type { Log } from "../../shared/util/log.ts";
import { type Attempt, outcomeOf } from "./attempts.ts";
import type { EntryWindow } from "./entry-window.ts";
import type { Declined, Handler, Task } from "./handlers/handler.ts";
import type { Progress } from "./progress.ts";

export interface EntryWorkOptions {
  handler: Handler;
  window: EntryWindow;
  progress: Progress;
  attempt: Attempt;
  /** Something of the journal was changed in Redis. */
  onForged(what: string): void;
  log: Log;
}

/** What one handler does with each entry. */
export interface EntryWork {
  /** Begins an entry; the window must have room for it. */
  begin(entry: JournalEntry): void;
  counts(): { done: number; failed: number };
}

const missingBefore = ({ id, missing }: JournalEntry) => `before ${id}, of which ${missing} are missing`;

export function createEntryWork({ handler, window, progress, attempt, onForged, log }: EntryWorkOptions): EntryWork {
  const counts = { done: 0, failed: 0 };
  let turns = Promise.resolve();

  /**
   * What the handler wants to do with an entry. If it throws, each attempt asks it again and fails with what it throws: one
   * attempt per turn of the event loop, since it may have thrown because it took too long.
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
    progress.add(entry, outcome);
    if (outcome.outcome !== "declined") counts[outcome.outcome] += 1;
    if (outcome.outcome === "failed")
      log.error({ handler: handler.name, entry, reason: outcome.error }, "a handler gave up on an entry");
    return true;
  }

  return {
    begin(entry) {
      if (entry.forged) return onForged(entry.id);
      if (entry.missing) onForged(missingBefore(entry));
      const planned = plan(entry);
      if (typeof planned === "function") window.run(entry, () => workOn(entry.id, planned));
      else if (planned) progress.add(entry.id, { durationMs: 0, tries: 1, ...outcomeOf(planned) });
    },
    counts: () => ({ ...counts }),
  };
}
