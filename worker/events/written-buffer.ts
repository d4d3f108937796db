import type { JournalEntry } from "../../shared/journal/entry.ts";

/**
 * What was written to the journal just now, kept for a handler that has caught up, so that it need not read it again. Bounded:
 * when more comes than it holds it is emptied and counts as overflowed, and the handler reads the journal instead.
 */
export interface WrittenBuffer {
  /** Keeps what comes from now on; forgets what it had. */
  open(): void;
  push(entries: readonly JournalEntry[]): void;
  /** What came since it was opened or last emptied; undefined if more came than it holds. */
  take(): readonly JournalEntry[] | undefined;
  /** Resolves once there is something to take, it has overflowed, it was interrupted, or the signal aborts. */
  filled(): Promise<void>;
  /** Ends one `filled`: that which waits now, or the next. */
  interrupt(): void;
}

/** @param maxSize bytes of payloads as they are stored */
export function createWrittenBuffer(maxEntries: number, maxSize: number, signal: AbortSignal): WrittenBuffer {
  let entries: JournalEntry[] | undefined;
  let size = 0;
  let wake = Promise.withResolvers<void>();
  let interrupted = false;
  signal.addEventListener("abort", () => wake.resolve(), { once: true });

  function open(): void {
    entries = [];
    size = 0;
  }

  const waits = () => entries?.length === 0 && !interrupted && !signal.aborted;

  return {
    open,
    push(written) {
      if (!entries) return;
      entries.push(...written);
      for (const entry of written) size += entry.size;
      if (entries.length > maxEntries || size > maxSize) entries = undefined;
      wake.resolve();
    },
    take() {
      const taken = entries;
      if (taken) open();
      return taken;
    },
    async filled() {
      while (waits()) {
        wake = Promise.withResolvers();
        await wake.promise;
      }
      interrupted = false;
    },
    interrupt() {
      interrupted = true;
      wake.resolve();
    },
  };
}
