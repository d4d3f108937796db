import type { Redis } from "ioredis";
import { toMicros } from "../redis/clock.ts";
import { defineScript, openScript, string } from "../redis/script.ts";
import type { OrderingKey } from "../vocabulary/ordering-key.ts";
import { type SealedKind, type Sealer, tampered } from "../sealing/seal.ts";
import { type Chunk, scanPage } from "../util/scan-page.ts";
import type { Micros } from "../util/time.ts";
import type { OutboxKeys } from "../redis/keys.ts";
import { createAuthenticator } from "./authentic.ts";
import { PRELUDE, RELEASE } from "./lua.ts";
import {
  type MessageRecord,
  type NewMessage,
  parseOrUnbelieved,
  parseRecord,
  RECORD_FIELDS,
  UNBELIEVED,
} from "./outbox.ts";
import { isRedrivable, type RedrivableState } from "./states.ts";

/** Which dead letters are meant; what is not given does not narrow them. */
export interface DeadFilter {
  /** Those that are `unconfirmed` are listed only if this asks for them: the CAD has them, and may have handled them. */
  state?: RedrivableState | undefined;
  /** The command's name, or the event's. */
  kind?: string | undefined;
  unit?: string | undefined;
  incident?: string | undefined;
  /** A part of "state: reason", in either case. */
  reason?: string | undefined;
  /** Whether it holds its place. */
  held?: boolean | undefined;
  /** Accepted at this time or later. */
  since?: Micros | undefined;
}

export interface DeadPage {
  letters: MessageRecord[];
  /** Where the next page begins; undefined after the last one. */
  next: Micros | undefined;
}

export interface DeadQuery {
  filter: DeadFilter;
  /** Letters per page at most. A page may hold fewer although more follow: see `next`. */
  limit: number;
  /** By acceptance, which no two letters share. `oldest` first is the order to send them again in. */
  first: "newest" | "oldest";
  /** `next` of the page before. Letters may be added and removed meanwhile; none is skipped or listed twice. */
  after?: Micros | undefined;
}

/** What could not be delivered, and was kept with the reason. */
export interface DeadLetters {
  list(query: DeadQuery): Promise<DeadPage>;
  /**
   * The message that would send this dead letter again, under a new id and in its place if it holds that; undefined if it is none.
   * Throws SealError.
   */
  again(id: string, newId: string): Promise<NewMessage | undefined>;
  /** Notes that a dead letter was sent again. Safe to repeat. */
  noteRedriven(id: string, newId: string): Promise<void>;
  /**
   * Takes it off the list, forgets its body, and lets what waits behind it go on. Answers the commands for which an emit job is due;
   * undefined if it is not on the list.
   */
  discard(id: string): Promise<string[] | undefined>;
  /** Its payload as JSON; undefined if it is none, or was discarded. Throws SealError. */
  reveal(id: string): Promise<string | undefined>;
}

interface DeadRow {
  id: string;
  acceptedAt: Micros;
}

/** Answers 0 if it is no dead letter any more, else {ids for which an emit job is due...}. */
const DISCARD = defineScript(
  "outboxDiscard",
  { id: string },
  `${PRELUDE}${RELEASE}
local id = args.id
local listed = redis.call('ZREM', DEAD, id) + redis.call('ZREM', UNCONFIRMED, id)
redis.call('HDEL', record(id), 'body')
local its = redis.call('HMGET', record(id), 'keys', 'held')
if its[2] ~= '1' then return listed > 0 and {} or 0 end
local keys, due = cjson.decode(its[1]), {}
leave_queues(id, keys)
let_go(id)
for _, head in ipairs(runnable_heads(keys)) do
  if call_worker(head) then due[#due + 1] = head end
end
return due
`,
);

const CHUNK = 200;
/** How many letters one request looks at, at most. */
const LOOK_AT = 5000;

/** @param kind what the bodies are sealed as: each is bound to its id, and so sealed anew for a new one. */
export function openDeadLetters(redis: Redis, keys: OutboxKeys, sealer: Sealer, kind: SealedKind): DeadLetters {
  const authentic = createAuthenticator(sealer, keys.base);
  const discardScript = openScript(redis, DISCARD, [keys.base, keys.cad]);

  /** In the place of a letter that holds it: as old as that one, and for as long from now on as that one was to live. */
  async function inPlace({ issuedAt, acceptedAt, ttl }: MessageRecord): Promise<Partial<NewMessage>> {
    const more = ttl === undefined ? {} : { ttlSeconds: (toMicros(await redis.time()) - acceptedAt + ttl) / 1_000_000 };
    return { inPlaceOf: { issuedAt: issuedAt ?? acceptedAt }, ...more };
  }

  /** Ids with the times of their acceptance, in the order of the query. */
  async function readIds({ filter, first }: DeadQuery, after: Micros | undefined): Promise<Chunk<DeadRow>> {
    const since = filter.since ?? 0;
    const set = filter.state === "unconfirmed" ? keys.unconfirmed : keys.dead;
    const from = after === undefined ? undefined : `(${after}`;
    const reply =
      first === "newest"
        ? await redis.zrevrangebyscore(set, from ?? "+inf", since, "WITHSCORES", "LIMIT", 0, CHUNK)
        : await redis.zrangebyscore(set, from ?? since, "+inf", "WITHSCORES", "LIMIT", 0, CHUNK);
    const rows = reply.flatMap((id, i) => (i % 2 === 0 ? [{ id, acceptedAt: Number(reply[i + 1]) }] : []));
    return { rows, more: rows.length === CHUNK };
  }

  async function readAll(ids: readonly string[]): Promise<(MessageRecord | undefined)[]> {
    const records = await Promise.all(ids.map((id) => redis.hmget(keys.record(id), ...RECORD_FIELDS)));
    return records.map((values, i) => parseOrUnbelieved(ids[i] ?? "", values, authentic));
  }

  /** A dead letter with its body as it is stored; undefined if it is none, or was discarded. Throws SealError. */
  async function readLetter(
    id: string,
  ): Promise<{ record: MessageRecord; body: string; traceparent: string | undefined } | undefined> {
    const [body, trace, ...values] = await redis.hmget(keys.record(id), "body", "trace", ...RECORD_FIELDS);
    const record = parseRecord(id, values, authentic);
    return record && isRedrivable(record.state) && body
      ? { record, body, traceparent: trace ? authentic.openTrace(id, trace) : undefined }
      : undefined;
  }

  return {
    async list(query) {
      const { found, next } = await scanPage({
        read: (after: Micros | undefined) => readIds(query, after),
        async match(rows) {
          const records = await readAll(rows.map(({ id }) => id));
          return records.map((record) => (record && matches(record, query.filter) ? record : undefined));
        },
        cursorOf: ({ acceptedAt }) => acceptedAt,
        after: query.after,
        limit: query.limit,
        lookAt: LOOK_AT,
      });
      return { letters: found, next };
    },

    async again(id, newId) {
      const { record, body, traceparent } = (await readLetter(id)) ?? {};
      if (!record || !body || record.redrivenAs) return undefined;
      if (record.kind === UNBELIEVED.kind) throw tampered("record");
      const { ttl } = record;
      return {
        id: newId,
        kind: record.kind,
        keys: record.keys,
        body: await sealer.seal(kind, newId, await sealer.open(kind, id, body)),
        user: record.user,
        role: record.role,
        fingerprints: [record.fingerprint],
        latestWins: record.latestWins,
        ttlSeconds: ttl === undefined ? undefined : ttl / 1_000_000,
        // No client can send this key. It makes a redrive that is repeated the same command.
        idempotencyKey: `\u0000redrive:${id}`,
        redriveOf: id,
        traceparent,
        ...(record.held && (await inPlace(record))),
      };
    },

    async reveal(id) {
      const letter = await readLetter(id);
      return letter && (await sealer.open(kind, id, letter.body));
    },

    async noteRedriven(id, newId) {
      await redis
        .multi()
        .hset(keys.record(id), { redriven_as: newId, redriven: authentic.redriven(id, newId) })
        .zrem(keys.dead, id)
        .zrem(keys.unconfirmed, id)
        .exec();
    },

    async discard(id) {
      const due = await discardScript({ id });
      return Array.isArray(due) ? due.map(String) : undefined;
    },
  };
}

function matches(record: MessageRecord, filter: DeadFilter): boolean {
  const about = (key: OrderingKey) => record.keys.includes(key);
  return (
    // The index has no MAC: what it names need not be a dead letter.
    isRedrivable(record.state) &&
    (filter.state === undefined || record.state === filter.state) &&
    (filter.held === undefined || record.held === filter.held) &&
    (filter.kind === undefined || record.kind === filter.kind) &&
    (filter.unit === undefined || about(`unit:${filter.unit}`)) &&
    (filter.incident === undefined || about(`incident:${filter.incident}`)) &&
    (filter.reason === undefined ||
      `${record.state}: ${record.reason}`.toLowerCase().includes(filter.reason.toLowerCase()))
  );
}
