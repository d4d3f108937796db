import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { inject, onTestFinished } from "vitest";
import type { JournalEntry, NewEntry } from "../../shared/journal/entry.ts";
import { journalKeys } from "../../shared/journal/keys.ts";
import { openJournalWriter } from "../../shared/journal/write.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { keptLog } from "./log.ts";

/** The journal of a bridge that has no worker: the test writes it itself. */
export async function ownJournal(
  prefix: string,
  { redisUrl = inject("redisUrl"), sealer = createSealer([]), maxEntries = 1_000_000, maxBytes = 0 } = {},
) {
  const redis = new Redis(redisUrl);
  // Some tests take their Redis away.
  redis.on("error", () => undefined);
  onTestFinished(() => redis.disconnect());
  const keys = journalKeys(prefix);
  const token = randomUUID();
  await redis.set(`${keys.cad}:owner`, token);
  const writer = openJournalWriter({
    redis,
    keys,
    sealer,
    token,
    cad: "http://cad.example",
    keptMs: 3_600_000,
    maxEntries,
    maxBytes,
    signal: new AbortController().signal,
    log: keptLog().log,
  });
  return {
    redis,
    keys,
    standstill: writer.standstill,
    async write(...entries: Partial<NewEntry>[]): Promise<JournalEntry[]> {
      const written = await writer.append(entries.map((entry) => ({ ...ENTRY, ...entry })));
      return written.filter((entry) => entry !== undefined);
    },
    /** Removes all before this one, as the journal's own bounds do. */
    trimTo: (id: string) => redis.xtrim(keys.journal, "MINID", id),
  };
}

const ENTRY: NewEntry = {
  kind: "event",
  event: "unit:status:updated",
  keys: ["unit:M12"],
  payload: { unitId: "M12", status: "enroute" },
  occurredAt: undefined,
  ageMs: 0,
  eventId: undefined,
  own: undefined,
  recovered: undefined,
  wrong: [],
};
