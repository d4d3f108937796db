import { setImmediate as nextTurn } from "node:timers/promises";
import { compareIds } from "../redis/stream-id.ts";
import type { JournalEntry } from "./entry.ts";
import type { JournalReader } from "./read.ts";

const PAGE = 500;

/**
 * The entries after an id in order, read page by page; other work gets its turn between two pages. Throws what `page` throws.
 * @param until the last entry wanted; without it, all there are
 */
export async function* entriesAfter(
  journal: Pick<JournalReader, "page">,
  after: string,
  { until, signal }: { until?: string; signal?: AbortSignal } = {},
): AsyncGenerator<JournalEntry> {
  const ended = () => signal?.aborted === true;
  for (let position = after, more = true; more && !ended();) {
    const page = await journal.page(position, PAGE);
    for (const entry of page.entries) {
      if (until !== undefined && compareIds(entry.id, until) > 0) return;
      yield entry;
      position = entry.id;
    }
    more = page.more && page.entries.length > 0;
    await nextTurn();
  }
}
