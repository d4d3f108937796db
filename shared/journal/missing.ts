import type { Redis } from "ioredis";
import type { Sealer } from "../sealing/seal.ts";
import type { JournalKeys } from "./keys.ts";
import { openEntry, parseRow, type Row } from "./read.ts";

/** How many entries at each end are searched for an authentic one. */
const ENDS = 20;

interface End {
  n: number;
  /** How many before it were not authentic. */
  skipped: number;
}

/**
 * How many entries are missing between the oldest and the newest, by comparing their numbers with the count; 0 without keys.
 * Trimming removes the oldest, and leaves no hole.
 */
export async function countMissing(redis: Redis, keys: JournalKeys, sealer: Sealer): Promise<number> {
  if (!sealer.keyed) return 0;
  // In one step, since the journal is written and trimmed meanwhile.
  const replies = await redis
    .multi()
    .xrange(keys.journal, "-", "+", "COUNT", ENDS)
    .xrevrange(keys.journal, "+", "-", "COUNT", ENDS)
    .xlen(keys.journal)
    .exec();
  const [oldest, newest, length] = (replies ?? []).map(([, reply]) => reply) as [Row[], Row[], number];
  const [first, last] = await Promise.all([authenticEnd(oldest), authenticEnd(newest)]);
  if (!first || !last) return 0;
  return Math.max(0, last.n - first.n + 1 - (length - first.skipped - last.skipped));

  async function authenticEnd(rows: readonly Row[] = []): Promise<End | undefined> {
    for (const [skipped, row] of rows.entries()) {
      const entry = await openEntry(sealer, parseRow(row, keys.journal)).catch(() => undefined);
      if (entry && !entry.forged && entry.n !== undefined) return { n: entry.n, skipped };
    }
    return undefined;
  }
}
