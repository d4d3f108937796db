import type { Redis } from "ioredis";
import type { JournalKeys } from "./keys.ts";

/** What a handler made of an entry. */
export interface Handled {
  handler: string;
  outcome: "done" | "failed";
  /** How long its last try took, ms. */
  durationMs: number;
  tries: number;
  /** Why it failed: never a payload. */
  error?: string;
}

/** The consumer record of the journal: how far each handler has come, and what it made of each entry that it wanted. */
export interface ConsumerRecord {
  /** The last entry before which nothing is left to do for the handler; undefined if it never ran. */
  cursor(handler: string): Promise<string | undefined>;
  /** Notes outcomes, and then the cursor. */
  note(handler: string, outcomes: readonly (Handled & { entry: string })[], cursor: string): Promise<void>;
  handled(entry: string): Promise<Handled[]>;
}

/** @param keptMs as long as the journal's entries */
export function openConsumerRecord(redis: Redis, keys: JournalKeys, keptMs: number): ConsumerRecord {
  return {
    cursor: async (handler) => (await redis.hget(keys.cursors, handler)) ?? undefined,
    async note(handler, outcomes, cursor) {
      const transaction = redis.multi();
      for (const { entry, handler: _, ...outcome } of outcomes) {
        transaction.hset(keys.handled(entry), handler, JSON.stringify(outcome)).pexpire(keys.handled(entry), keptMs);
      }
      await transaction.hset(keys.cursors, handler, cursor).exec();
    },
    handled: (entry) => readHandled(redis, keys, entry),
  };
}

/** What the handlers made of an entry; not in it: those that did not want it, or did not come to it yet. */
export async function readHandled(redis: Redis, keys: JournalKeys, entry: string): Promise<Handled[]> {
  const outcomes = await redis.hgetall(keys.handled(entry));
  return Object.entries(outcomes).map(([handler, text]) => ({
    handler,
    ...(JSON.parse(text) as Omit<Handled, "handler">),
  }));
}
