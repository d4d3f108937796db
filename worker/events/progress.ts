import type { Checkpoints, Handled } from "../../shared/journal/checkpoints.ts";
import { START } from "../../shared/redis/stream-id.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { TaskOutcome } from "./attempts.ts";

/** How often the checkpoint and the outcomes are stored, ms: after a crash, that much is done again. */
const STORE_MS = 100;
/** How many outcomes wait at most while Redis does not take them; beyond, the oldest are dropped. */
const MAX_OUTCOMES = 500;

export interface ProgressOptions {
  /** The handler's name. */
  handler: string;
  checkpoints: Checkpoints;
  /** Everything up to this entry is done. */
  doneUpTo(): string;
  onStored(checkpoint: string): void;
  signal: AbortSignal;
}

/** Stores how far a handler is, and the outcome of each entry. */
export interface Progress {
  /** The stored checkpoint. */
  checkpoint(): string;
  /** The handler begins after this entry. */
  beginAt(entry: string): void;
  add(entry: string, outcome: TaskOutcome): void;
  /** Rejects if Redis does not take it; nothing is lost by that. */
  store(): Promise<void>;
  /** Stores it regularly until the signal aborts. Never rejects. */
  keepStoring(): Promise<void>;
}

export function createProgress({ handler, checkpoints, doneUpTo, onStored, signal }: ProgressOptions): Progress {
  let checkpoint = START;
  let outcomes: (Handled & { entry: string })[] = [];

  async function store(): Promise<void> {
    const storing = outcomes;
    const next = doneUpTo();
    if (storing.length === 0 && next === checkpoint) return;
    outcomes = [];
    try {
      await checkpoints.note(handler, storing, next);
      checkpoint = next;
      onStored(next);
    } catch (error) {
      outcomes = [...storing, ...outcomes].slice(-MAX_OUTCOMES);
      throw error;
    }
  }

  return {
    checkpoint: () => checkpoint,
    beginAt: (entry) => void (checkpoint = entry),
    add: (entry, outcome) => void outcomes.push({ entry, handler, ...outcome }),
    store,
    async keepStoring() {
      while (!signal.aborted) {
        await sleep(STORE_MS, signal);
        await store().catch(() => undefined);
      }
    },
  };
}
