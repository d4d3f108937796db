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
 * `ok`: it gets its events. `paused`: it failed too often in a row, or asked to wait; retried automatically. `disabled`: it
 * answered 410, and gets nothing until it is enabled.
 */
const DESTINATION_STATES = ["ok", "paused", "disabled"] as const;

/** The state of a destination as stored in Redis. Times in ms since 1970. */
const destinationState = z.object({
  state: z.enum(DESTINATION_STATES),
  /** A sentence for people; empty if it is ok. */
  reason: z.string(),
  since: z.number(),
  /** When a paused one is retried. */
  until: z.number(),
  /** How many times in a row it was paused. */
  trips: z.number(),
});
export type DestinationState = z.infer<typeof destinationState>;

/** The worker's report of one destination; never a secret, a header's value or a payload. */
export const destinationReport = z.object({
  id: z.string(),
  url: z.string().meta({ description: "Scheme and host alone: the rest may be a secret." }),
  /** `removed`: it is in no route any more, but some of its data is left. */
  state: z.enum([...DESTINATION_STATES, "removed"]),
  reason: z.string().nullable(),
  since: z.string().nullable(),
  /** When a paused one is retried. */
  until: z.string().nullable(),
  in_flight: z.number(),
  /** Since this worker became the leader. */
  delivered: z.number(),
  failed_attempts: z.number(),
  /** How often a filter failed, which counts as no match. */
  filter_errors: z.number(),
  last_success: z.string().nullable(),
  last_error: z.string().nullable(),
  last_error_at: z.string().nullable(),
  /** Why some of its messages wait: their payloads cannot be opened yet. */
  payload_problem: z.string().nullable().default(null),
  /** The contents of its outbox in the last seconds; null if unknown. */
  load: destinationLoad.nullable().default(null),
});
export type DestinationReport = z.infer<typeof destinationReport>;

/** The counts of a destination to which nothing was sent yet. */
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
/** The rules of a destination, and the last entry not selected by them. */
export type KnownRules = z.infer<typeof knownRules>;

/** Names the state that it ends: if put back later, it ends no other. */
const enabling = z.object({ since: z.number() });
/** Names the state that it begins; only an enable of that state ends it. */
const pausing = z.object({ since: z.number(), reason: z.string() });
export type Pausing = z.infer<typeof pausing>;
const attempts = z.array(destinationAttempt).max(RECENT + RECENT_FAILED);
type StoredKind = "destination" | "rules" | "enable" | "pause" | "attempts";

/** The data of the destinations in Redis besides their outboxes. */
export interface DestinationStore {
  /** Every destination, past or present, that has any data left. */
  ids(): Promise<string[]>;
  has(id: string): Promise<boolean>;
  add(ids: readonly string[]): Promise<void>;
  remove(id: string): Promise<void>;
  load(id: string): Promise<DestinationState | undefined>;
  save(id: string, state: DestinationState): Promise<void>;
  /** Whether the last saved state is still stored. */
  holds(id: string, state: DestinationState): Promise<boolean>;
  /** The `since` of the last state that was ended by an enable. */
  enabled(id: string): Promise<number | undefined>;
  /** The last requested pause, unless it was ended. */
  paused(id: string): Promise<Pausing | undefined>;
  /** Records the rules that select its events; if they changed, `since` is the last entry before that. */
  saveRules(id: string, rules: readonly RuleSummary[], since: string): Promise<void>;
  rules(id: string): Promise<KnownRules | undefined>;
  /** Ends its current state, so that the worker sends to it again; the worker notices within a second. */
  enable(id: string): Promise<void>;
  /** Makes the worker disable it until it is enabled; the worker notices within a second. */
  pause(id: string, reason: string): Promise<void>;
  /** The last attempts at it, oldest first. */
  attempts(id: string): Promise<DestinationAttempt[]>;
  saveAttempts(id: string, all: readonly DestinationAttempt[]): Promise<void>;
  /** Asks the worker for a replay; it notices within a second. */
  askReplay(id: string, request: ReplayRequest): Promise<void>;
  /** The last requested replay. Throws SealError if its key is missing, as do the methods below. */
  replayAsked(id: string): Promise<ReplayRequest | undefined>;
  dropReplayAsked(id: string): Promise<void>;
  saveReplay(id: string, status: ReplayStatus): Promise<void>;
  /** The state of the last replay, or of the last dry run. */
  replay(id: string, which: "replay" | "dry-run"): Promise<ReplayStatus | undefined>;
}

/** The stored fields of replays, which are also what they are sealed as. */
const REPLAY_FIELDS = { ask: "replay_ask", replay: "replay", "dry-run": "replay_dry_run" } as const;

/**
 * @param prefix REDIS_PREFIX
 * @param onForged called with a destination whose stored data was changed, which counts as missing
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
      // Without a running worker, the next one finds it disabled.
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
