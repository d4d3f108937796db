import type { Redis } from "ioredis";
import { z } from "zod";
import { destinationKeys } from "../redis/keys.ts";
import { openIfAuthentic, storeClear } from "../sealing/clear.ts";
import { SealError, type Sealer } from "../sealing/seal.ts";
import { parseJson } from "../util/json.ts";
import { type DestinationAttempt, destinationAttempt, RECENT, RECENT_FAILED } from "./attempts.ts";
import { destinationLoad } from "./load.ts";
import { type ReplayRequest, replayRequest, type ReplayStatus, replayStatus } from "./replay.ts";
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

/** Names the state that it ends: put back later, it ends no other. */
const enabling = z.object({ since: z.number() });
/** Names the state that it begins: an enable of that one ends it. */
const pausing = z.object({ since: z.number(), reason: z.string() });
export type Pausing = z.infer<typeof pausing>;
const attempts = z.array(destinationAttempt).max(RECENT + RECENT_FAILED);
type StoredKind = "destination" | "rules" | "enable" | "pause" | "attempts";

/** What Redis holds of the destinations beside their outboxes. */
export interface DestinationStore {
  /** Every destination that there ever was and of which something is left. */
  ids(): Promise<string[]>;
  has(id: string): Promise<boolean>;
  add(ids: readonly string[]): Promise<void>;
  remove(id: string): Promise<void>;
  load(id: string): Promise<DestinationState | undefined>;
  save(id: string, state: DestinationState): Promise<void>;
  /** Whether what was saved last is still there. */
  holds(id: string, state: DestinationState): Promise<boolean>;
  /** The last state that somebody ended by enabling it: its `since`. */
  enabled(id: string): Promise<number | undefined>;
  /** What somebody asked for last by pausing it, if that was not ended. */
  paused(id: string): Promise<Pausing | undefined>;
  /** Notes by which rules its events are chosen; if they changed, `since` is the last entry before that. */
  saveRules(id: string, rules: readonly RuleSummary[], since: string): Promise<void>;
  rules(id: string): Promise<KnownRules | undefined>;
  /** Ends its present state: has the worker send to it again at once. It hears of it within a second. */
  enable(id: string): Promise<void>;
  /** Has the worker disable it until somebody enables it; it hears of it within a second. */
  pause(id: string, reason: string): Promise<void>;
  /** The last attempts at it, the oldest first. */
  attempts(id: string): Promise<DestinationAttempt[]>;
  saveAttempts(id: string, all: readonly DestinationAttempt[]): Promise<void>;
  /** Asks the worker for a replay; it hears of it within a second. */
  askReplay(id: string, request: ReplayRequest): Promise<void>;
  /** What was asked for last. Throws SealError if its key is missing. Here and below. */
  replayAsked(id: string): Promise<ReplayRequest | undefined>;
  dropReplayAsked(id: string): Promise<void>;
  saveReplay(id: string, status: ReplayStatus): Promise<void>;
  /** How the last replay is, or the last dry run. */
  replay(id: string, which: "replay" | "dry-run"): Promise<ReplayStatus | undefined>;
}

/** Where what belongs to replays is kept, and what it is sealed with. */
const REPLAY_FIELDS = { ask: "replay_ask", replay: "replay", "dry-run": "replay_dry_run" } as const;

/**
 * @param prefix REDIS_PREFIX
 * @param onForged called with a destination of which something was changed in Redis: it is as if it was not there
 */
export function openDestinationStore(
  redis: Redis,
  prefix: string,
  sealer: Sealer,
  onForged: (id: string) => void = () => undefined,
): DestinationStore {
  const known = `{${prefix}}:cad:destinations`;
  const keyOf = (id: string) => `${destinationKeys(prefix, id).base}:state`;
  const stored = (kind: StoredKind, id: string, value: unknown) =>
    storeClear(sealer, kind, keyOf(id), JSON.stringify(value));

  async function read<T>(field: string, kind: StoredKind, id: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const text = await redis.hget(keyOf(id), field);
    if (text === null) return undefined;
    const opened = openIfAuthentic(sealer, kind, keyOf(id), text, () => onForged(id));
    return opened === undefined ? undefined : schema.safeParse(parseJson(opened)).data;
  }
  const sealId = (id: string, field: string) => JSON.stringify([keyOf(id), field]);
  async function saveSealed(id: string, field: string, value: unknown): Promise<void> {
    await redis.hset(keyOf(id), field, await sealer.seal("replay", sealId(id, field), JSON.stringify(value)));
  }
  async function readSealed<T>(id: string, field: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const text = await redis.hget(keyOf(id), field);
    if (text === null) return undefined;
    try {
      return schema.safeParse(parseJson(await sealer.open("replay", sealId(id, field), text))).data;
    } catch (error) {
      if (!(error instanceof SealError) || error.code === "missing-key") throw error;
      onForged(id);
      return undefined;
    }
  }

  const rules = (id: string) => read("rules", "rules", id, knownRules);
  const paused = (id: string) => read("pause", "pause", id, pausing);
  const load = (id: string) => read("state", "destination", id, destinationState);

  return {
    ids: () => redis.smembers(known),
    has: async (id) => (await redis.sismember(known, id)) === 1,
    add: async (ids) => void (ids.length > 0 && (await redis.sadd(known, ...ids))),
    remove: async (id) => void (await redis.multi().srem(known, id).del(keyOf(id)).exec()),
    load,
    save: async (id, state) => void (await redis.hset(keyOf(id), "state", stored("destination", id, state))),
    holds: async (id, state) => JSON.stringify(await load(id)) === JSON.stringify(state),
    async saveRules(id, now, since) {
      const before = await rules(id);
      if (JSON.stringify(before?.rules) === JSON.stringify(now)) return;
      await redis.hset(keyOf(id), "rules", stored("rules", id, { rules: now, since }));
    },
    rules,
    enabled: async (id) => (await read("enable", "enable", id, enabling))?.since,
    async enable(id) {
      const [state, pause] = await Promise.all([load(id), paused(id)]);
      const ended = state && state.state !== "ok" ? state : pause;
      if (!ended) return;
      const ends = stored("enable", id, { since: ended.since });
      await redis.multi().hset(keyOf(id), "enable", ends).hdel(keyOf(id), "state", "pause").exec();
    },
    paused,
    async pause(id, reason) {
      const since = Date.now();
      // Where no worker runs, the next one finds it disabled.
      const state: DestinationState = { state: "disabled", reason, since, until: 0, trips: 0 };
      const fields = { pause: stored("pause", id, { since, reason }), state: stored("destination", id, state) };
      await redis.hset(keyOf(id), fields);
    },
    attempts: async (id) => (await read("attempts", "attempts", id, attempts)) ?? [],
    saveAttempts: async (id, all) => void (await redis.hset(keyOf(id), "attempts", stored("attempts", id, all))),
    askReplay: (id, request) => saveSealed(id, REPLAY_FIELDS.ask, request),
    replayAsked: (id) => readSealed(id, REPLAY_FIELDS.ask, replayRequest),
    dropReplayAsked: async (id) => void (await redis.hdel(keyOf(id), REPLAY_FIELDS.ask)),
    saveReplay: (id, status) => saveSealed(id, REPLAY_FIELDS[status.request.dryRun ? "dry-run" : "replay"], status),
    replay: (id, which) => readSealed(id, REPLAY_FIELDS[which], replayStatus),
  };
}
