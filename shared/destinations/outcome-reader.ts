import type { Redis } from "ioredis";
import type { JournalEntry } from "../journal/entry.ts";
import { type Handled, readCursor } from "../journal/checkpoints.ts";
import { journalKeys } from "../journal/keys.ts";
import { createAuthenticator } from "../outbox/authentic.ts";
import { parseRecord, RECORD_FIELDS } from "../outbox/outbox.ts";
import { destinationKeys, type OutboxKeys } from "../redis/keys.ts";
import type { Sealer } from "../sealing/seal.ts";
import { type DeliveryFacts, type DeliveryOutcome, outcomeOf } from "./outcome.ts";
import { openDestinationStore } from "./store.ts";

/** How often a dead letter that was redriven is followed to the message that sent it again. */
const MAX_REDRIVES = 10;

/** The handler that fills a destination's outbox: its name in the journal's checkpoints. */
export const handlerOf = (destination: string): string => `to:${destination}`;

/** Tells what became of an entry at every destination; throws SealError for a forged record. @param prefix REDIS_PREFIX */
export function openOutcomeReader(redis: Redis, prefix: string, sealer: Sealer) {
  const store = openDestinationStore(redis, prefix, sealer);
  const journal = journalKeys(prefix);

  async function messageOf(keys: OutboxKeys, entry: string): Promise<DeliveryFacts["message"]> {
    const authentic = createAuthenticator(sealer, keys.base);
    let found: DeliveryFacts["message"];
    let id: string | undefined = entry;
    for (let n = 0; id !== undefined && n <= MAX_REDRIVES; n += 1) {
      const [retryAt, ...values] = await redis.hmget(keys.record(id), "retry_at", ...RECORD_FIELDS);
      const record = parseRecord(id, values, authentic);
      if (!record) return found;
      found = { ...record, retryAt: retryAt ? Number(retryAt) : undefined };
      // What waited when a replay began is sent by that.
      id = record.redrivenAs ?? (record.state === "superseded" ? record.by : undefined);
    }
    return found;
  }

  async function factsOf(id: string, entry: JournalEntry, handled: readonly Handled[]): Promise<DeliveryFacts> {
    // The cursor first: what it had not passed then may have a message by now, and not the other way round.
    const cursor = await readCursor(redis, journal, sealer, handlerOf(id));
    const [message, rules, state] = await Promise.all([
      messageOf(destinationKeys(prefix, id), entry.id),
      store.rules(id),
      store.load(id),
    ]);
    return {
      destination: id,
      message,
      handled: handled.find(({ handler }) => handler === handlerOf(id)),
      cursor,
      rules,
      state,
    };
  }

  return async function read(entry: JournalEntry, handled: readonly Handled[]): Promise<DeliveryOutcome[]> {
    const ids = (await store.ids()).toSorted();
    const facts = await Promise.all(ids.map((id) => factsOf(id, entry, handled)));
    return facts.map((one) => outcomeOf(entry, one, Date.now() * 1000));
  };
}
