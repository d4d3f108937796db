import type { JournalEntry } from "../../shared/journal/entry.ts";

/** The entries that a handler works on now: bounded, and one after the other where they share a unit or an incident. */
export interface EntryWindow {
  /** Runs `work` once those before it that share a key have ended. `work` never rejects; answers true once the entry is done with. */
  run(entry: JournalEntry, work: () => Promise<boolean>): void;
  /** Resolves once there is room for another, or the signal aborts. */
  room(): Promise<void>;
  /** The oldest that is not done with; undefined if all are. */
  oldest(): string | undefined;
  size(): number;
  /** Resolves when nothing runs any more. */
  idle(): Promise<void>;
}

/** @param maxSize bytes of payloads as they are stored */
export function createEntryWindow(maxEntries: number, maxSize: number, signal: AbortSignal): EntryWindow {
  /** The size of each, in the order of the journal. */
  const open = new Map<string, number>();
  let openSize = 0;
  const lastOfKey = new Map<string, Promise<void>>();
  const running = new Set<Promise<void>>();
  let freed = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => freed.resolve(), { once: true });

  async function workOn({ id, keys, size }: JournalEntry, work: () => Promise<boolean>): Promise<void> {
    await Promise.all(keys.flatMap((key) => lastOfKey.get(key) ?? []));
    // One that was given up at a stop stays open: the cursor must not pass it.
    if (!(await work())) return;
    openSize -= size;
    open.delete(id);
    freed.resolve();
  }

  function forget(keys: JournalEntry["keys"], mine: Promise<void>): void {
    running.delete(mine);
    for (const key of keys) if (lastOfKey.get(key) === mine) lastOfKey.delete(key);
  }

  const isFull = () => open.size >= maxEntries || openSize >= maxSize;

  return {
    run(entry, work) {
      open.set(entry.id, entry.size);
      openSize += entry.size;
      const mine = workOn(entry, work);
      running.add(mine);
      for (const key of entry.keys) lastOfKey.set(key, mine);
      void mine.then(() => forget(entry.keys, mine));
    },
    async room() {
      while (isFull() && !signal.aborted) {
        freed = Promise.withResolvers();
        await freed.promise;
      }
    },
    oldest: () => open.keys().next().value,
    size: () => open.size,
    async idle() {
      await Promise.allSettled(running);
    },
  };
}
