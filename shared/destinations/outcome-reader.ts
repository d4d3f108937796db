import type { Redis } from "ioredis";
import type { JournalEntry } from "../journal/entry.ts";
import { type Handled, readCursor } from "../journal/checkpoints.ts";
import { journalKeys } from "../journal/keys.ts";
import { createAuthenticator } from "../outbox/authentic.ts";
import { parseRecord, RECORD_FIELDS } from "../outbox/outbox.ts";
import { destinationKeys, type OutboxKeys } from "../redis/keys.ts";
import { compareIds } from "../redis/stream-id.ts";
import { SealError, type Sealer } from "../sealing/seal.ts";
import { parseAttempts } from "./attempts.ts";
import { type DeliveryFacts, type DeliveryOutcome, outcomeOf } from "./outcome.ts";
import { openDestinationStore } from "./store.ts";

/** Maximum number of redrives followed from a dead letter to its latest message. */
const MAX_REDRIVES = 10;

/** The handler that fills a destination's outbox: its name in the journal's checkpoints. */
export const handlerOf = (destination: string): string => `to:${destination}`;

/** An entry and the handlers' results for it. */
export interface HandledEntry {
  entry: JournalEntry;
  handled: readonly Handled[];
}

/** The data common to all entries at one destination. */
type Standing = Pick<DeliveryFacts, "cursor" | "rules" | "state">;

/** The outcomes of entries at every destination, in the order of the entries. Throws SealError for a forged record. */
export type ReadOutcomes = (events: readonly HandledEntry[]) => Promise<DeliveryOutcome[][]>;

/** @param prefix REDIS_PREFIX */
export function openOutcomeReader(redis: Redis, prefix: string, sealer: Sealer): ReadOutcomes {
  const store = openDestinationStore(redis, prefix, sealer);
  const journal = journalKeys(prefix);

  async function messageOf(keys: OutboxKeys, entry: string): Promise<DeliveryFacts["message"]> {
    const authentic = createAuthenticator(sealer, keys.base);
    let found: DeliveryFacts["message"];
    let id: string | undefined = entry;
    for (let n = 0; id !== undefined && n <= MAX_REDRIVES; n += 1) {
      const [retryAt, tries, ...values] = await redis.hmget(keys.record(id), "retry_at", "tries", ...RECORD_FIELDS);
      const record = parseRecord(id, values, authentic);
      if (!record) return found;
      const attempts = parseAttempts(sealer, keys, id, tries);
      found = { ...record, retryAt: retryAt ? Number(retryAt) : undefined, recentAttempts: attempts };
      // A message that was waiting when a replay began is superseded by the replay's.
      id = record.redrivenAs ?? (record.state === "superseded" ? record.by : undefined);
    }
    return found;
  }

  async function standingOf(id: string): Promise<Standing> {
    // Read the cursor first: an entry after it may have a message by now, but not the other way round.
    const cursor = await readCursor(redis, journal, sealer, handlerOf(id));
    const [rules, state, replay] = await Promise.all([
      store.rules(id),
      store.load(id),
      store.replay(id, "replay").catch((error: unknown) => {
        if (error instanceof SealError) return undefined;
        throw error;
      }),
    ]);
    // During a replay the handler has gone back, after having reached `until`.
    const until = replay?.state === "running" ? replay.until : null;
    const farthest = until !== null && cursor !== undefined && compareIds(until, cursor) > 0 ? until : cursor;
    return { cursor: farthest, rules, state };
  }

  return async function read(events) {
    const ids = (await store.ids()).toSorted();
    const standings = await Promise.all(ids.map(standingOf));
    return await Promise.all(
      events.map(({ entry, handled }) =>
        Promise.all(
          standings.map(async (standing, i) => {
            const destination = ids[i] ?? "";
            const message = await messageOf(destinationKeys(prefix, destination), entry.id);
            const own = handled.find(({ handler }) => handler === handlerOf(destination));
            return outcomeOf(entry, { destination, message, handled: own, ...standing }, Date.now() * 1000);
          }),
        ),
      ),
    );
  };
}
