import { Redis } from "ioredis";
import { inject, onTestFinished } from "vitest";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import { type JournalKeys, journalKeys } from "../../shared/journal/keys.ts";
import { openJournalReader } from "../../shared/journal/read.ts";
import { START } from "../../shared/redis/stream-id.ts";
import { type Handled, readHandled } from "../../shared/journal/checkpoints.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { until } from "../../tools/support/until.ts";

const PAGE = 1000;

/** A look into the journal of one bridge, from outside. */
export interface JournalView {
  redis: Redis;
  keys: JournalKeys;
  entries(): Promise<JournalEntry[]>;
  /** Waits until so many of that event are in the journal, and answers with all of them. */
  has(event: string, count?: number): Promise<JournalEntry[]>;
  handled(entry: JournalEntry, handler: string): Promise<Handled>;
}

export function viewJournal(prefix: string, redisUrl = inject("redisUrl")): JournalView {
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  redis.on("error", () => undefined); // some tests stop it
  onTestFinished(() => redis.disconnect());
  const keys = journalKeys(prefix);
  const reader = openJournalReader(redis, keys, createSealer([]));
  async function entries(): Promise<JournalEntry[]> {
    const all: JournalEntry[] = [];
    for (let more = true; more;) {
      const page = await reader.page(all.at(-1)?.id ?? START, PAGE);
      all.push(...page.entries);
      ({ more } = page);
    }
    return all;
  }
  return {
    redis,
    keys,
    entries,
    has: (event, count = 1) =>
      until(`${count} ${event} in the journal`, async () => {
        const found = (await entries()).filter((e) => e.event === event);
        return found.length >= count && found;
      }),
    handled: (entry, handler) =>
      until(`${handler} has handled ${entry.id}`, async () =>
        (await readHandled(redis, keys, createSealer([]), entry.id)).find((h) => h.handler === handler),
      ),
  };
}
