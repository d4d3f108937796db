import type { Redis } from "ioredis";
import type { AuditNote } from "../audit/entry.ts";
import { toArgument } from "../audit/authentic.ts";
import { createAuditClock } from "../audit/clock.ts";
import { auditKeys } from "../audit/keys.ts";
import type { OrderingKey } from "../vocabulary/ordering-key.ts";
import { openScript, type ScriptReply } from "../redis/script.ts";
import type { Role } from "../vocabulary/roles.ts";
import type { Micros } from "../util/time.ts";
import { APPEND } from "./append.ts";
import { type Backlog, openBacklog } from "./backlog.ts";
import { type Bounds, boundsFor } from "./bounds.ts";
import { createRedisClock } from "../redis/clock.ts";
import { SealError, type Sealer, tampered } from "../sealing/seal.ts";
import {
  type Authenticator,
  believedTime,
  checkExpired,
  createAuthenticator,
  doubtOf,
  type Head,
  unlessRemoved,
} from "./authentic.ts";
import { parseKeys } from "./claim.ts";
import { EXPIRED_SENT, EXPIRED_UNSENT, SUPERSEDED } from "./lua.ts";
import type { OutboxKeys } from "../redis/keys.ts";
import { isFinal, mayHold, STATES, type State } from "./states.ts";

/** How long an idempotency key stands for its command. */
export const IDEMPOTENCY_MS = 24 * 3_600_000;
/** How long a settled record is kept: longer than its idempotency key. */
export const KEPT_MS = 25 * 3_600_000;
/** How long a dead letter is kept, if it is not said otherwise. */
export const DEAD_LETTER_DAYS = 30;

/** Retention of `once` values, ms: longer than anything would be billed or reported again. */
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
  /** The trace that it belongs to: the `traceparent` of what it follows from. */
  traceparent?: string | undefined;
  /** Who asks for it: noted in the audit trail in the same step. */
  note?: AuditNote;
  /** That one holds its place: this one takes it, and goes by the time at which that one was handed over. */
  inPlaceOf?: { issuedAt: Micros };
  /** Of messages that share one of these, only the first is accepted, however long ago that was (400 days). */
  once?: readonly string[];
  /** Of units that were moved between CADs: the mark that the CAD must have of each, by ordering key. See shared/moves/. */
  moved?: Readonly<Record<string, string>>;
}

export type Appended =
  /** `due`: it is runnable, and the worker sleeps: an emit job is to wake it. */
  | { outcome: "accepted"; id: string; state: "queued"; acceptedAt: Micros; runnable: boolean; due: boolean }
  | { outcome: "replayed"; id: string; state: State; acceptedAt: Micros }
  /** The idempotency key stands for another request. */
  | { outcome: "conflict"; id: string }
  /** Another message had the same `once`. */
  | { outcome: "once"; id: string }
  /** The dead letter whose place it was to take does not hold it any more. */
  | { outcome: "gone" }
  /** One of its units was moved to another CAD, or here by a move that the caller does not know of. */
  | { outcome: "moved" }
  /** As many unsettled messages as the backlog may hold. */
  | { outcome: "full" }
  /** As many or as large ones wait of this subject, or as many of one of these ordering keys (`held`: behind a dead letter), as may. */
  | { outcome: "over"; bound: "subject" | "key" | "held" };

/** What is known of a message, without its body. */
export interface MessageRecord {
  id: string;
  kind: string;
  keys: OrderingKey[];
  user: string;
  role: Role;
  fingerprint: string;
  latestWins: boolean;
  /** us */
  ttl: Micros | undefined;
  /** When it was handed to Redis; undefined where nothing is authenticated. */
  issuedAt: Micros | undefined;
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
  /** A dead letter that holds its place: what came after it with its ordering keys waits. */
  held: boolean;
  /** Of an unconfirmed one: a later message of the same kind and keys. */
  overtakenBy?: string | undefined;
}

/** The side of the outbox that accepts messages and reports their state. */
export interface Outbox {
  append(message: NewMessage): Promise<Appended>;
  read(id: string): Promise<MessageRecord | undefined>;
  backlog(): Promise<Backlog>;
}

/**
 * @param sealer authenticates what it stores, and checks what it reads
 * @param bounds how much it holds at most; beyond, it accepts no more
 */
export function openOutbox(redis: Redis, keys: OutboxKeys, sealer: Sealer, bounds: Bounds): Outbox {
  const authentic = createAuthenticator(sealer, keys.base);
  const clock = createRedisClock(redis);
  const auditClock = createAuditClock(redis, auditKeys(keys.cad).entries);
  const append = openScript(redis, APPEND, [keys.base, keys.cad]);

  /** That a newer value took its place is Redis's own word: there must be one, of the same kind and about the same. */
  async function checkSuperseded({ latestWins, kind, keys: about, by, issuedAt = 0 }: MessageRecord): Promise<void> {
    const newer =
      by === "" ? undefined : parseRecord(by, await redis.hmget(keys.record(by), ...RECORD_FIELDS), authentic);
    const fits = newer?.kind === kind && newer.keys.join() === about.join() && (newer.issuedAt ?? issuedAt) >= issuedAt;
    if (!latestWins || !fits) throw tampered("outcome");
  }

  return {
    async append(m) {
      const key = m.idempotencyKey ?? m.id;
      const ttl = m.ttlSeconds === undefined ? "" : String(Math.round(m.ttlSeconds * 1_000_000));
      const handedOver = sealer.keyed ? String(await clock()) : "";
      const head = {
        ...{ id: m.id, kind: m.kind, keys: JSON.stringify(m.keys), user: m.user, role: m.role, ttl },
        ...{ fingerprint: m.fingerprints[0] ?? "", latest: m.latestWins ? "1" : "", redriveOf: m.redriveOf ?? "" },
        issuedAt: sealer.keyed && m.inPlaceOf ? String(m.inPlaceOf.issuedAt) : handedOver,
      };
      const noted = sealer.keyed && m.note ? String(await auditClock()) : "";
      const reply = await append(
        {
          ...{ id: m.id, kind: m.kind, keys: head.keys, user: m.user, role: m.role },
          ...{ fingerprints: m.fingerprints, latest: head.latest, ttl },
          ...{ idempotencyScope: JSON.stringify([m.user, key]), idempotencyKey: key, idempotencyMs: IDEMPOTENCY_MS },
          ...{ bounds: boundsFor(bounds, m.role, m.redriveOf !== undefined), keptMs: KEPT_MS },
          ...{ redriveOf: head.redriveOf, inPlace: m.inPlaceOf !== undefined },
          note: m.note && toArgument(sealer, keys.cad, m.note, { accepted: m.id, replayed: "" }, noted),
          ...{ once: m.once ?? [], onceMs: ONCE_MS, issuedAt: head.issuedAt, head: authentic.head(head) },
          ...{ moved: m.moved, trace: m.traceparent === undefined ? undefined : authentic.trace(m.id, m.traceparent) },
        },
        m.body,
      );
      return parseAppended(m.id, reply);
    },

    async read(id) {
      const record = parseRecord(id, await redis.hmget(keys.record(id), ...RECORD_FIELDS), authentic);
      if (record?.state === "superseded" && sealer.keyed) await checkSuperseded(record);
      return record;
    },

    backlog: openBacklog(redis, keys),
  };
}

/** The fields that are read to report on a record; never the body. */
export const RECORD_FIELDS = [
  ...["kind", "keys", "user", "state", "sends", "accepted_at", "expires_at", "sent_at", "settled_at"],
  ...["reason", "by", "redrive_of", "redriven_as", "overtaken_by"],
  ...["role", "fingerprint", "latest", "ttl", "issued_at", "head", "final", "redriven", "held"],
] as const;

const time = (value: string | null | undefined) => (value ? Number(value) : undefined);

/**
 * A record from the values of RECORD_FIELDS, in the order of those; undefined if there is none. Throws SealError for one that is
 * not to be believed. Of one whose head is not, but whose outcome the worker vouches for, that outcome alone is shown.
 */
export function parseRecord(
  id: string,
  values: readonly (string | null)[],
  authentic: Authenticator,
): MessageRecord | undefined {
  const stored = Object.fromEntries(RECORD_FIELDS.map((name, i) => [name, values[i] ?? ""])) as StoredRecord;
  if (!stored.kind || !stored.keys || !stored.accepted_at) return undefined;
  const keyed = [stored.issued_at, stored.head, stored.final, stored.redriven].some((value) => value !== "");
  const doubt = doubtOf(() => unlessRemoved(() => authentic.checkHead(headOf(id, stored), stored.head), keyed));
  const record = toRecord(id, stored);
  checkOutcome(record, stored, authentic);
  if (!doubt) return record;
  if (!hasOwnOutcome(record.state)) throw doubt;
  return { ...record, ...UNBELIEVED, keys: [], acceptedAt: Number(stored.accepted_at) };
}

type StoredRecord = Record<(typeof RECORD_FIELDS)[number], string>;

/** What is shown in the place of what was changed in Redis. */
export const UNBELIEVED = {
  role: "crew",
  ...{ kind: "(changed in Redis)", keys: [], user: "", fingerprint: "", latestWins: false },
  ...{ ttl: undefined, issuedAt: undefined, expiresAt: undefined, redriveOf: undefined, redrivenAs: undefined },
} as const satisfies Partial<Record<keyof MessageRecord, unknown>>;

/** The same for a list: a forged record is listed as such, with the reason. It can only be discarded. */
export function parseOrUnbelieved(
  id: string,
  values: readonly (string | null)[],
  authentic: Authenticator,
): MessageRecord | undefined {
  try {
    return parseRecord(id, values, authentic);
  } catch (error) {
    if (error instanceof SealError) return unbelieved(id, values, error.message);
    throw error;
  }
}

/** A dead letter of which nothing is to be believed but that something stands in its place. */
function unbelieved(id: string, values: readonly (string | null)[], reason: string): MessageRecord | undefined {
  const acceptedAt = Number(values[RECORD_FIELDS.indexOf("accepted_at")] ?? Number.NaN);
  if (!Number.isSafeInteger(acceptedAt)) return undefined;
  const nothing = { sends: 0, sentAt: undefined, settledAt: undefined, by: "" };
  const held = values[RECORD_FIELDS.indexOf("held")] === "1";
  return { id, acceptedAt, state: "failed", reason, held, ...nothing, ...UNBELIEVED, keys: [] };
}

/** The authenticated fields of a stored record that never change. */
export const headOf = (
  id: string,
  s: Pick<
    StoredRecord,
    "kind" | "keys" | "user" | "role" | "fingerprint" | "latest" | "ttl" | "redrive_of" | "issued_at"
  >,
): Head => ({
  ...{ id, kind: s.kind, keys: s.keys, user: s.user, role: s.role, fingerprint: s.fingerprint, latest: s.latest },
  ...{ ttl: s.ttl, redriveOf: s.redrive_of, issuedAt: s.issued_at },
});

/** Whether the worker found it out itself: a script knows no key to vouch for what it decides. */
const hasOwnOutcome = (state: State): boolean => isFinal(state) && state !== "expired" && state !== "superseded";

function checkOutcome(record: MessageRecord, s: StoredRecord, authentic: Authenticator): void {
  const { id, state } = record;
  if (s.redriven_as !== "") unlessRemoved(() => authentic.checkRedriven(id, s.redriven_as, s.redriven), s.head !== "");
  if (hasOwnOutcome(state)) {
    const times = { acceptedAt: s.accepted_at, sentAt: s.sent_at, sends: s.sends, settledAt: s.settled_at };
    const final = { id, state, reason: s.reason, by: s.by, ...times, held: s.held !== "" && mayHold(state) };
    unlessRemoved(() => authentic.checkFinal(final, s.final), s.head !== "");
    return;
  }
  // From before there were keys, and so taken as it is.
  if (!authentic.keyed || s.head === "") return;
  const known = { expired: [EXPIRED_UNSENT, EXPIRED_SENT], superseded: [SUPERSEDED] }[state as string];
  if (known && !known.includes(s.reason)) throw tampered("outcome");
  if (state === "expired") checkExpired(record.acceptedAt, record.ttl, record.settledAt);
}

function toRecord(id: string, s: StoredRecord): MessageRecord {
  const issuedAt = time(s.issued_at);
  const acceptedAt = believedTime(Number(s.accepted_at), issuedAt);
  const ttl = time(s.ttl);
  return {
    ...{ id, kind: s.kind, keys: parseKeys(s.keys), user: s.user, role: s.role as Role, fingerprint: s.fingerprint },
    ...{ latestWins: s.latest === "1", ttl, issuedAt, state: asState(s.state), sends: Number(s.sends), acceptedAt },
    // What Redis stores for its own scripts is not vouched for: it follows from what is.
    expiresAt: ttl === undefined ? time(s.expires_at) : acceptedAt + ttl,
    ...{ sentAt: time(s.sent_at), settledAt: time(s.settled_at), reason: s.reason, by: s.by },
    ...{ redriveOf: s.redrive_of || undefined, redrivenAs: s.redriven_as || undefined },
    held: s.held === "1" && mayHold(asState(s.state)),
    overtakenBy: s.overtaken_by || undefined,
  };
}

function parseAppended(id: string, reply: ScriptReply): Appended {
  const [outcome, first, second, third] = Array.isArray(reply) ? reply : [];
  switch (outcome) {
    case "accepted":
      return { outcome, id, state: "queued", acceptedAt: Number(first), runnable: second === 1, due: third === 1 };
    case "replayed":
      return { outcome, id: String(first), state: asState(second), acceptedAt: Number(third) };
    case "conflict":
    case "once":
      return { outcome, id: String(first) };
    case "full":
    case "gone":
    case "moved":
      return { outcome };
    case "over":
      return { outcome, bound: first === "key" || first === "held" ? first : "subject" };
    default:
      throw new Error("the append script answered in a form that this version does not know");
  }
}

function asState(value: unknown): State {
  const state = STATES.find((s) => s === value);
  if (!state) throw new SealError("tampered", "a record in Redis has a state that this version does not know");
  return state;
}
