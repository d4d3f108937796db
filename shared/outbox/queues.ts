import type { Redis } from "ioredis";
import { toMicros } from "../redis/clock.ts";
import { parseKeys } from "./claim.ts";
import type { Sealer } from "../sealing/seal.ts";
import type { OutboxKeys } from "../redis/keys.ts";
import type { Micros } from "../util/time.ts";
import type { OrderingKey } from "../vocabulary/ordering-key.ts";
import { createAuthenticator } from "./authentic.ts";
import { type MessageRecord, parseOrUnbelieved, RECORD_FIELDS } from "./outbox.ts";

/** How many of the oldest unsettled commands are looked at to see which queues are not empty. */
const LOOK_AT = 1000;

/** The per-key queue of a unit or an incident, as a line of a list. */
export interface QueueSummary {
  key: OrderingKey;
  waiting: number;
  /** When its oldest command was accepted. */
  oldest: Micros;
}

export interface QueueContent {
  key: OrderingKey;
  now: Micros;
  waiting: number;
  /** The first of them, in their order. */
  commands: MessageRecord[];
  /** Of its head: in which of its other queues another command is before it. */
  behind: { key: OrderingKey; id: string }[];
  /** When the head is tried again, if it was postponed. */
  retryAt: Micros | undefined;
}

/** Reads the per-key queues of the commands. */
export interface Queues {
  /** Those of the oldest unsettled commands, the one that waits longest first; `more`: not all commands were looked at. */
  list(): Promise<{ queues: QueueSummary[]; more: boolean }>;
  read(key: OrderingKey, limit: number): Promise<QueueContent>;
}

export function openQueues(redis: Redis, keys: OutboxKeys, sealer: Sealer): Queues {
  const authentic = createAuthenticator(sealer, keys.base);
  const line = (key: string) => `${keys.base}:line:${key}`;

  async function readRecord(id: string): Promise<MessageRecord | undefined> {
    return parseOrUnbelieved(id, await redis.hmget(keys.record(id), ...RECORD_FIELDS), authentic);
  }

  async function othersBefore(head: MessageRecord): Promise<QueueContent["behind"]> {
    const heads = await Promise.all(head.keys.map((key) => redis.lindex(line(key), 0)));
    return head.keys.flatMap((key, i) => {
      const first = heads[i];
      return first != null && first !== head.id ? [{ key, id: first }] : [];
    });
  }

  return {
    async list() {
      const scored = await redis.zrange(keys.open, "0", String(LOOK_AT), "WITHSCORES");
      const ids = scored.filter((_, i) => i % 2 === 0).slice(0, LOOK_AT);
      const texts = await Promise.all(ids.map((id) => redis.hget(keys.record(id), "keys")));
      const found = new Map<OrderingKey, QueueSummary>();
      texts.forEach((text, i) => {
        for (const key of parseKeys(text)) {
          const known = found.get(key);
          if (known) known.waiting += 1;
          else found.set(key, { key, waiting: 1, oldest: Number(scored[2 * i + 1]) });
        }
      });
      return { queues: [...found.values()], more: scored.length > 2 * LOOK_AT };
    },

    async read(key, limit) {
      const [time, waiting, ids] = await Promise.all([
        redis.time(),
        redis.llen(line(key)),
        redis.lrange(line(key), 0, limit - 1),
      ]);
      const records = await Promise.all(ids.map(readRecord));
      const head = records[0];
      const [behind, retryAt] = head
        ? await Promise.all([othersBefore(head), redis.hget(keys.record(head.id), "retry_at")])
        : [[], null];
      return {
        key,
        now: toMicros(time),
        waiting,
        commands: records.flatMap((record) => record ?? []),
        behind,
        retryAt: retryAt === null ? undefined : Number(retryAt),
      };
    },
  };
}
