import type { Redis } from "ioredis";
import type { JournalKeys } from "./keys.ts";

export interface JournalBounds {
  keptMs: number;
  maxEntries: number;
  /** Approximate size of the stream in Redis's memory; 0: unlimited. */
  maxBytes: number;
}

/** Trims to this fraction of the limit, so that not every entry causes a trim. */
const ROOM = 0.95;

/**
 * Trims the journal to its limits. The writing script does so by age and number too, but a full Redis rejects it as a whole,
 * while it accepts a plain XTRIM. Redis drops whole nodes of 100 entries, so the limits are approximate.
 */
export async function trimJournal(redis: Redis, keys: JournalKeys, bounds: JournalBounds): Promise<void> {
  const [seconds] = await redis.time();
  await redis.xtrim(keys.journal, "MINID", "~", Math.round(Number(seconds) * 1000 - bounds.keptMs));
  await redis.xtrim(keys.journal, "MAXLEN", "~", bounds.maxEntries);
  if (bounds.maxBytes === 0) return;
  // Samples a few nodes, so it takes no longer for a large stream.
  const bytes = (await redis.memory("USAGE", keys.journal, "SAMPLES", 20)) ?? 0;
  if (bytes <= bounds.maxBytes) return;
  const length = await redis.xlen(keys.journal);
  await redis.xtrim(keys.journal, "MAXLEN", "~", Math.floor((length * bounds.maxBytes * ROOM) / bytes));
}
