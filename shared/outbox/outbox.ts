import type { Redis } from "ioredis";
import type { AuditNote } from "../audit/entry.ts";
import { toArgument } from "../audit/trail.ts";
import type { OrderingKey } from "../vocabulary/ordering-key.ts";
import { script, type ScriptReply } from "../redis/redis.ts";
import type { Role } from "../vocabulary/roles.ts";
import type { Micros } from "../util/time.ts";
import { APPEND } from "./append.ts";
import type { OutboxKeys } from "../redis/keys.ts";
import { STATES, type State } from "./states.ts";

/** How long an idempotency key stands for its command. */
export const IDEMPOTENCY_MS = 24 * 3_600_000;
/** How long a settled record is kept: longer than its idempotency key. */
export const KEPT_MS = 25 * 3_600_000;
/** How long a dead letter is kept, if it is not said otherwise. */
export const DEAD_LETTER_DAYS = 30;

/** How long what may be sent once is remembered, ms: longer than anybody would bill or report it again. */
export const ONCE_MS = 400 * 24 * 3_600_000;

export interface NewMessage {
  /** No colon, and not digits alone: it is a BullMQ job id as well. */
  id: string;
  kind: string;
  keys: readonly OrderingKey[];
  /** As it is stored: sealed, if there are keys. */
  body: string;
  user: string;
  role: Role;
  /** What is the same for the same request, see `idempotencyKey`. The first is stored; any that was stored before counts. */
  fingerprints: readonly string[];
  latestWins: boolean;
  ttlSeconds: number | undefined;
  idempotencyKey: string | undefined;
  /** The dead letter that it sends again. */
  redriveOf?: string;
  /** Who asks for it: noted in the audit trail in the same step. */
  note?: AuditNote;
  /** Of messages with the same one, only the first is accepted, however long ago that was (400 days). */
  once?: string;
}

export type Appended =
  | { outcome: "accepted"; id: string; state: "queued"; acceptedAt: Micros; runnable: boolean }
  | { outcome: "replayed"; id: string; state: State; acceptedAt: Micros }
  /** The idempotency key stands for another request. */
  | { outcome: "conflict"; id: string }
  /** Another message had the same `once`. */
  | { outcome: "once"; id: string }
  /** As many unsettled messages as the backlog may hold. */
  | { outcome: "full" };

/** What is known of a message, without its body. */
export interface MessageRecord {
  id: string;
  kind: string;
  keys: OrderingKey[];
  user: string;
  state: State;
  sends: number;
  acceptedAt: Micros;
  expiresAt: Micros | undefined;
  sentAt: Micros | undefined;
  settledAt: Micros | undefined;
  reason: string;
  by: string;
  /** The dead letter that it sends again, and the command that sends it again. */
  redriveOf: string | undefined;
  redrivenAs: string | undefined;
}

/** What the outbox holds now. */
export interface Backlog {
  now: Micros;
  unsettled: number;
  dead: number;
  oldestUnsettled: Micros | undefined;
  /** When the longest-neglected runnable message became runnable, or was last begun. */
  oldestRunnable: Micros | undefined;
  /** How many messages reached each final state, since ever. */
  counts: Record<string, number>;
}

/** The side of the outbox that accepts messages and tells what became of them. */
export interface Outbox {
  append(message: NewMessage): Promise<Appended>;
  read(id: string): Promise<MessageRecord | undefined>;
  backlog(): Promise<Backlog>;
}

/** @param maxBacklog how many unsettled messages it holds at most; beyond, it accepts no more. */
export function openOutbox(redis: Redis, keys: OutboxKeys, maxBacklog: number): Outbox {
  const append = script(redis, "outboxAppend", APPEND, [keys.base, keys.cad]);
  return {
    async append(m) {
      const key = m.idempotencyKey ?? m.id;
      const ttl = m.ttlSeconds === undefined ? "" : m.ttlSeconds * 1_000_000;
      const reply = await append(
        ...[m.id, m.kind, JSON.stringify(m.keys), m.body, m.user, m.role, JSON.stringify(m.fingerprints)],
        ...[
          m.latestWins ? "1" : "",
          ttl,
          JSON.stringify([m.user, key]),
          key,
          IDEMPOTENCY_MS,
          maxBacklog,
          KEPT_MS,
          m.redriveOf ?? "",
          toArgument(m.note),
          m.once ?? "",
          ONCE_MS,
        ],
      );
      return parseAppended(m.id, reply);
    },

    async read(id) {
      return parseRecord(id, await redis.hmget(keys.record(id), ...RECORD_FIELDS));
    },

    async backlog() {
      const [[seconds, micros], unsettled, dead, open, runnable, counts] = await Promise.all([
        redis.time(),
        redis.zcard(keys.open),
        redis.zcard(keys.dead),
        redis.zrange(keys.open, "0", "0", "WITHSCORES"),
        redis.zrange(keys.runnable, "0", "0", "WITHSCORES"),
        redis.hgetall(keys.counts),
      ]);
      return {
        now: Number(seconds) * 1_000_000 + Number(micros),
        unsettled,
        dead,
        oldestUnsettled: open[1] === undefined ? undefined : Number(open[1]),
        oldestRunnable: runnable[1] === undefined ? undefined : Number(runnable[1]),
        counts: Object.fromEntries(Object.entries(counts).map(([state, n]) => [state, Number(n)])),
      };
    },
  };
}

/** What of a record is read to tell about it; never the body. */
export const RECORD_FIELDS = [
  ...["kind", "keys", "user", "state", "sends", "accepted_at", "expires_at", "sent_at", "settled_at"],
  ...["reason", "by", "redrive_of", "redriven_as"],
] as const;

const time = (value: string | null | undefined) => (value ? Number(value) : undefined);

/** A record from the values of RECORD_FIELDS; undefined if there is none. */
export function parseRecord(id: string, values: readonly (string | null)[]): MessageRecord | undefined {
  const [kind, ordering, user, state, sends, acceptedAt, expiresAt, sentAt, settledAt, reason, by, of, as] = values;
  if (!kind || !ordering || !acceptedAt) return undefined;
  return {
    id,
    kind,
    keys: JSON.parse(ordering) as OrderingKey[],
    user: user ?? "",
    state: asState(state),
    sends: Number(sends),
    acceptedAt: Number(acceptedAt),
    expiresAt: time(expiresAt),
    sentAt: time(sentAt),
    settledAt: time(settledAt),
    reason: reason ?? "",
    by: by ?? "",
    redriveOf: of ?? undefined,
    redrivenAs: as ?? undefined,
  };
}

function parseAppended(id: string, reply: ScriptReply): Appended {
  const [outcome, first, second, third] = Array.isArray(reply) ? reply : [];
  switch (outcome) {
    case "accepted":
      return { outcome, id, state: "queued", acceptedAt: Number(first), runnable: second === 1 };
    case "replayed":
      return { outcome, id: String(first), state: asState(second), acceptedAt: Number(third) };
    case "conflict":
    case "once":
      return { outcome, id: String(first) };
    case "full":
      return { outcome };
    default:
      throw new Error("the append script answered in a form that this version does not know");
  }
}

function asState(value: unknown): State {
  const state = STATES.find((s) => s === value);
  if (!state) throw new Error("a record in Redis has a state that this version does not know");
  return state;
}
