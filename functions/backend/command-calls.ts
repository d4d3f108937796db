import type { Redis } from "ioredis";
import { auditKeys } from "../../shared/audit/keys.ts";
import { parseEntry, type StoredEntry } from "../../shared/audit/entry.ts";
import { type History, readHistory } from "../../shared/health/history.ts";
import type { MessageRecord, Outbox } from "../../shared/outbox/outbox.ts";
import { openQueues, type Queues } from "../../shared/outbox/queues.ts";
import type { State } from "../../shared/outbox/states.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import type { Micros } from "../../shared/util/time.ts";
import { idTime, timeOfId } from "../../shared/redis/stream-id.ts";
import { scanPage } from "../../shared/util/scan-page.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import { readable } from "./readable.ts";

/** Which commands are searched; what is not given does not narrow them. */
export interface CommandQuery {
  keys: readonly OrderingKey[];
  /** The command's name. */
  kind?: string | undefined;
  state?: State | undefined;
  /** When it was accepted, by Redis's clock. */
  since?: Micros | undefined;
  until?: Micros | undefined;
  /** Entries per page at most. A page may hold fewer although more follow: see `next`. */
  limit: number;
  /** `next` of the page before. */
  after?: string | undefined;
}

/** One that was accepted. `record` is undefined if its receipt is gone, or is not to be believed. */
export interface FoundCommand {
  id: string;
  at: Micros;
  user: string;
  role: string;
  /** What was asked for: a command, or that a dead letter is sent again. */
  action: string;
  about: readonly OrderingKey[];
  record: MessageRecord | undefined;
}

export interface CommandCalls {
  /** The newest first. Those that wait come from the backlog, all others from the audit trail. */
  findCommands(query: CommandQuery): Promise<{ commands: FoundCommand[]; next: string | undefined }>;
  listQueues: Queues["list"];
  readQueue: Queues["read"];
  readHold: Queues["hold"];
  history(): Promise<History>;
}

const CHUNK = 200;
/** How many entries or waiting commands one request looks at, at most. */
const LOOK_AT = 5000;

/** An unsettled command and when it was accepted, us. */
interface Waiting {
  id: string;
  score: string;
}

const boundsOf = ({ after, limit }: CommandQuery) => ({ after, limit, lookAt: LOOK_AT });
const waits = (state: State | undefined): boolean => state === "queued" || state === "sent";

const fits = ({ kind, state }: CommandQuery, command: FoundCommand): boolean =>
  (kind === undefined || (command.record?.kind ?? command.action.slice("POST /".length)) === kind) &&
  (state === undefined || command.record?.state === state);

/** @param prefix REDIS_PREFIX */
export function createCommandCalls(redis: Redis, prefix: string, sealer: Sealer, read: Outbox["read"]): CommandCalls {
  const keys = outboxKeys(prefix);
  const { entries } = auditKeys(keys.base);
  const queues = openQueues(redis, keys, sealer);

  const recordOf = readable(read);

  /** What was accepted, as the audit trail has it: without positions and metrics, of which it has one an hour. */
  function fromTrail(query: CommandQuery) {
    async function match(stored: StoredEntry): Promise<FoundCommand | undefined> {
      const entry = parseEntry(stored);
      if (entry?.outcome !== "accepted" || entry.command === "") return undefined;
      if (!query.keys.every((key) => entry.about.includes(key))) return undefined;
      const { id, command, user, role, action, about } = entry;
      const asked = { id: command, at: timeOfId(id), user, role, action, about: about as OrderingKey[] };
      const found = { ...asked, record: await recordOf(command) };
      return fits(query, found) ? found : undefined;
    }
    return scanPage({
      ...boundsOf(query),
      async read(after: string | undefined) {
        const from = after === undefined ? (query.until === undefined ? "+" : idTime(query.until)) : `(${after}`;
        const to = query.since === undefined ? "-" : idTime(query.since);
        const rows: StoredEntry[] = await redis.xrevrange(entries, from, to, "COUNT", CHUNK);
        return { rows, more: rows.length === CHUNK };
      },
      match: (rows) => Promise.all(rows.map(match)),
      cursorOf: ([id]) => id,
    });
  }

  /** What waits, all of it. */
  function fromBacklog(query: CommandQuery) {
    async function match({ id }: Waiting): Promise<FoundCommand | undefined> {
      const record = await recordOf(id);
      if (!record || !query.keys.every((key) => record.keys.includes(key))) return undefined;
      const { acceptedAt: at, user, role, kind, keys: about } = record;
      const found = { id, at, user, role, action: `POST /${kind}`, about, record };
      return fits(query, found) ? found : undefined;
    }
    return scanPage({
      ...boundsOf(query),
      async read(after: string | undefined) {
        const from = after === undefined ? (query.until ?? "+inf") : `(${after}`;
        const scored = await redis.zrevrangebyscore(
          keys.open,
          from,
          query.since ?? "-inf",
          "WITHSCORES",
          "LIMIT",
          0,
          CHUNK,
        );
        const rows = scored.flatMap((id, i): Waiting[] => (i % 2 === 0 ? [{ id, score: scored[i + 1] ?? "" }] : []));
        return { rows, more: rows.length === CHUNK };
      },
      match: (rows) => Promise.all(rows.map(match)),
      cursorOf: ({ score }) => score,
    });
  }

  return {
    async findCommands(query) {
      const { found, next } = await (waits(query.state) ? fromBacklog(query) : fromTrail(query));
      return { commands: found, next };
    },
    listQueues: queues.list,
    readQueue: queues.read,
    readHold: queues.hold,
    history: () => readHistory(redis, keys, sealer),
  };
}
