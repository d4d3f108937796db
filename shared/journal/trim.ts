import type { Redis } from "ioredis";
import type { JournalKeys } from "./keys.ts";

export interface JournalBounds {
  keptMs: number;
  maxEntries: number;
  /** Of the stream in Redis's memory, about; 0: any size. */
  maxBytes: number;
}

/** Below the bound by so much, so that it is not trimmed for every entry. */
const ROOM = 0.95;

/**
 * Trims the journal to its bounds. The writing script does so by age and number too, but a full Redis refuses it as a whole; a plain
 * XTRIM it takes. Redis keeps entries in nodes of 100 and drops whole ones, so the bounds hold about.
 */
export async function trimJournal(redis: Redis, keys: JournalKeys, bounds: JournalBounds): Promise<void> {
  const [seconds] = await redis.time();
  await redis.xtrim(keys.journal, "MINID", "~", Math.round(Number(seconds) * 1000 - bounds.keptMs));
  await redis.xtrim(keys.journal, "MAXLEN", "~", bounds.maxEntries);
  if (bounds.maxBytes === 0) return;
  // It looks at a few nodes, and takes no longer for a large stream.
  const bytes = (await redis.memory("USAGE", keys.journal, "SAMPLES", 20)) ?? 0;
  if (bytes <= bounds.maxBytes) return;
  const length = await redis.xlen(keys.journal);
  await redis.xtrim(keys.journal, "MAXLEN", "~", Math.floor((length * bounds.maxBytes * ROOM) / bytes));
}
