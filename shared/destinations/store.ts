import type { Redis } from "ioredis";
import { z } from "zod";
import { destinationKeys } from "../redis/keys.ts";
import { destinationLoad } from "./load.ts";
import { ruleSummary, type RuleSummary } from "./rules.ts";

/**
 * - `ok`: it gets what is for it
 * - `paused`: it failed too often in a row, or asked to wait; it is tried again by itself
 * - `disabled`: it answered 410, and gets nothing until somebody enables it
 */
const DESTINATION_STATES = ["ok", "paused", "disabled"] as const;

/** How a destination is, as it is kept in Redis. Times are ms since 1970. */
const destinationState = z.object({
  state: z.enum(DESTINATION_STATES),
  /** In words for people; empty if it is ok. */
  reason: z.string(),
  since: z.number(),
  /** When a paused one is tried again. */
  until: z.number(),
  /** How often in a row it was paused. */
  trips: z.number(),
});
export type DestinationState = z.infer<typeof destinationState>;

/** What the worker says of one destination: never a secret, a header's value or a payload. */
export const destinationReport = z.object({
  id: z.string(),
  url: z.string().meta({ description: "Scheme and host alone: the rest may be a secret." }),
  /** `removed`: it is in no route any more, and something of it is left. */
  state: z.enum([...DESTINATION_STATES, "removed"]),
  reason: z.string().nullable(),
  since: z.string().nullable(),
  /** When a paused one is tried again. */
  until: z.string().nullable(),
  in_flight: z.number(),
  /** Since the worker owns the CAD. */
  delivered: z.number(),
  failed_attempts: z.number(),
  /** How often a filter could not tell, which counts as no. */
  filter_errors: z.number(),
  last_success: z.string().nullable(),
  last_error: z.string().nullable(),
  last_error_at: z.string().nullable(),
  /** Why some of its messages wait: their payloads cannot be opened yet. */
  payload_problem: z.string().nullable().default(null),
  /** What its outbox holds, as of the last seconds; null if it is not known. */
  load: destinationLoad.nullable().default(null),
});
export type DestinationReport = z.infer<typeof destinationReport>;

/** What is counted of a destination to which nothing was sent yet. */
export const NOTHING_SENT = {
  delivered: 0,
  failed_attempts: 0,
  filter_errors: 0,
  last_success: null,
  last_error: null,
  last_error_at: null,
  payload_problem: null,
  load: null,
} as const satisfies Partial<DestinationReport>;

const knownRules = z.object({ rules: z.array(ruleSummary), since: z.string() });
/** The rules of a destination, and the last entry that was not chosen by them. */
export type KnownRules = z.infer<typeof knownRules>;

/** What Redis holds of the destinations beside their outboxes. */
export interface DestinationStore {
  /** Every destination that there ever was and of which something is left. */
  ids(): Promise<string[]>;
  has(id: string): Promise<boolean>;
  add(ids: readonly string[]): Promise<void>;
  remove(id: string): Promise<void>;
  load(id: string): Promise<DestinationState | undefined>;
  /** Answers how often somebody enabled it. */
  save(id: string, state: DestinationState): Promise<number>;
  enabled(id: string): Promise<number>;
  /** Notes by which rules its events are chosen; if they changed, `since` is the last entry before that. */
  saveRules(id: string, rules: readonly RuleSummary[], since: string): Promise<void>;
  rules(id: string): Promise<KnownRules | undefined>;
  /** Has the worker send to it again at once; it hears of it within a second. */
  enable(id: string): Promise<void>;
}

/** @param prefix REDIS_PREFIX */
export function openDestinationStore(redis: Redis, prefix: string): DestinationStore {
  const all = `{${prefix}}:cad:destinations`;
  const keyOf = (id: string) => `${destinationKeys(prefix, id).base}:state`;
  async function rulesOf(id: string): Promise<KnownRules | undefined> {
    const text = await redis.hget(keyOf(id), "rules");
    return knownRules.safeParse(text === null ? undefined : JSON.parse(text)).data;
  }
  return {
    ids: () => redis.smembers(all),
    has: async (id) => (await redis.sismember(all, id)) === 1,
    add: async (ids) => void (ids.length > 0 && (await redis.sadd(all, ...ids))),
    remove: async (id) => void (await redis.multi().srem(all, id).del(keyOf(id)).exec()),
    async load(id) {
      const text = await redis.hget(keyOf(id), "state");
      const parsed = destinationState.safeParse(text === null ? undefined : JSON.parse(text));
      return parsed.data;
    },
    async save(id, state) {
      const answers = await redis
        .multi()
        .hset(keyOf(id), "state", JSON.stringify(state))
        .hget(keyOf(id), "enables")
        .exec();
      const [error, enables] = answers?.[1] ?? [];
      if (error) throw error;
      return Number(enables ?? 0);
    },
    async saveRules(id, rules, since) {
      const known = await rulesOf(id);
      if (JSON.stringify(known?.rules) === JSON.stringify(rules)) return;
      await redis.hset(keyOf(id), "rules", JSON.stringify({ rules, since }));
    },
    rules: rulesOf,
    enabled: async (id) => Number((await redis.hget(keyOf(id), "enables")) ?? 0),
    enable: async (id) => void (await redis.multi().hincrby(keyOf(id), "enables", 1).hdel(keyOf(id), "state").exec()),
  };
}
