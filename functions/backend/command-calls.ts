import type { Redis } from "ioredis";
import { auditKeys } from "../../shared/audit/keys.ts";
import { parseEntry, type StoredEntry, timeOfId } from "../../shared/audit/entry.ts";
import { type History, readHistory } from "../../shared/health/history.ts";
import type { MessageRecord, Outbox } from "../../shared/outbox/outbox.ts";
import { openQueues, type Queues } from "../../shared/outbox/queues.ts";
import type { State } from "../../shared/outbox/states.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { SealError, type Sealer } from "../../shared/sealing/seal.ts";
import type { Micros } from "../../shared/util/time.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";

/** Which commands are searched; what is not given does not narrow them. */
export interface CommandQuery {
  keys: readonly OrderingKey[];
  /** The command's name. */
  kind?: string | undefined;
  state?: State | undefined;
  /** When it was accepted, by Redis's clock. */
  since?: Micros | undefined;
  until?: Micros | undefined;
  /** How many a page holds at most. It may hold fewer although there are more: `next` tells. */
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
  history(): Promise<History>;
}

const CHUNK = 200;
/** How many entries or waiting commands one request looks at, at most. */
const LOOK_AT = 5000;

const toMs = (at: Micros): string => String(Math.max(0, Math.floor(at / 1000)));
const waits = (state: State | undefined): boolean => state === "queued" || state === "sent";

/** @param prefix REDIS_PREFIX */
export function createCommandCalls(redis: Redis, prefix: string, sealer: Sealer, read: Outbox["read"]): CommandCalls {
  const keys = outboxKeys(prefix);
  const { entries } = auditKeys(keys.base);
  const queues = openQueues(redis, keys, sealer);

  const readable = (id: string) =>
    read(id).catch((error: unknown) => {
      if (error instanceof SealError) return undefined;
      throw error;
    });

  /** What was accepted, as the audit trail has it: without positions and metrics, of which it has one an hour. */
  async function* fromTrail({ since, until, after, keys: about }: CommandQuery) {
    let from = after === undefined ? (until === undefined ? "+" : toMs(until)) : `(${after}`;
    const to = since === undefined ? "-" : toMs(since);
    for (;;) {
      const chunk: StoredEntry[] = await redis.xrevrange(entries, from, to, "COUNT", CHUNK);
      const found = chunk.flatMap((stored) => {
        const entry = parseEntry(stored);
        if (entry?.outcome !== "accepted" || entry.command === "") return [];
        return about.every((key) => entry.about.includes(key)) ? [entry] : [];
      });
      yield {
        looked: chunk.length,
        last: chunk.at(-1)?.[0],
        found: await Promise.all(
          found.map(async ({ id, command, user, role, action, about: named }) => ({
            cursor: id,
            command: {
              ...{ id: command, at: timeOfId(id), user, role, action, about: named as OrderingKey[] },
              record: await readable(command),
            },
          })),
        ),
      };
      const last = chunk.at(-1);
      if (chunk.length < CHUNK || !last) return;
      from = `(${last[0]}`;
    }
  }

  /** What waits, all of it. */
  async function* fromBacklog({ since, until, after, keys: about }: CommandQuery) {
    let from = after === undefined ? String(until ?? "+inf") : `(${after}`;
    for (;;) {
      const ids = await redis.zrevrangebyscore(keys.open, from, since ?? "-inf", "LIMIT", 0, CHUNK);
      const records = (await Promise.all(ids.map(readable))).flatMap((record) => record ?? []);
      const last = records.at(-1)?.acceptedAt;
      yield {
        looked: ids.length,
        last: last === undefined ? undefined : String(last),
        found: records
          .filter((record) => about.every((key) => record.keys.includes(key)))
          .map((record) => ({
            cursor: String(record.acceptedAt),
            command: {
              ...{ id: record.id, at: record.acceptedAt, user: record.user, role: record.role },
              ...{ action: `POST /${record.kind}`, about: record.keys, record },
            },
          })),
      };
      if (ids.length < CHUNK || last === undefined) return;
      from = `(${last}`;
    }
  }

  return {
    async findCommands(query) {
      const { kind, state, limit } = query;
      const commands: FoundCommand[] = [];
      let looked = 0;
      for await (const chunk of waits(state) ? fromBacklog(query) : fromTrail(query)) {
        for (const { cursor, command } of chunk.found) {
          if (kind !== undefined && (command.record?.kind ?? command.action.slice("POST /".length)) !== kind) continue;
          if (state !== undefined && command.record?.state !== state) continue;
          commands.push(command);
          if (commands.length >= limit) return { commands, next: cursor };
        }
        looked += chunk.looked;
        if (looked >= LOOK_AT && chunk.looked === CHUNK) return { commands, next: chunk.last };
      }
      return { commands, next: undefined };
    },
    listQueues: queues.list,
    readQueue: queues.read,
    history: () => readHistory(redis, keys),
  };
}
