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

/** In the queue of a unit that moves to this CAD: see shared/moves/. It is no command. */
const isBarrier = (id: string): boolean => id.startsWith("move:");

/** The per-key queue of a unit or an incident, as a line of a list. */
export interface QueueSummary {
  key: OrderingKey;
  waiting: number;
  /** When its oldest command was accepted; of an empty one behind which nothing waits, the dead letter. */
  oldest: Micros;
  /** The dead letter that holds it. */
  held: string | undefined;
}

export interface QueueContent {
  key: OrderingKey;
  now: Micros;
  /** How many commands are not settled; a dead letter that holds it is none of them. */
  waiting: number;
  /** The first of them, in their order; before them the dead letter that holds it. */
  commands: MessageRecord[];
  /** Of its head: in which of its other queues another command, or a dead letter that holds it, is before it. */
  behind: { key: OrderingKey; id: string; held: boolean }[];
  /** When the head is tried again, if a retry is scheduled. */
  retryAt: Micros | undefined;
}

/** What a command has to do with a dead letter that holds its place. */
export interface Hold {
  /** The dead letter at the head of one of its queues, behind which it waits. */
  heldBackBy: string | undefined;
  /** If it is such a letter itself: how many commands wait in its queues; of more than 1000 in one of them, those. */
  waitingBehind: number | undefined;
}

/** Reads the per-key queues of the commands. */
export interface Queues {
  /** Those of the oldest unsettled commands, the one that waits longest first; `more`: not all commands were looked at. */
  list(): Promise<{ queues: QueueSummary[]; more: boolean }>;
  read(key: OrderingKey, limit: number): Promise<QueueContent>;
  hold(command: Pick<MessageRecord, "id" | "keys" | "state" | "held">): Promise<Hold>;
}

export function openQueues(redis: Redis, keys: OutboxKeys, sealer: Sealer): Queues {
  const authentic = createAuthenticator(sealer, keys.base);
  const queueKey = (key: string) => `${keys.base}:line:${key}`;

  async function readRecord(id: string): Promise<MessageRecord | undefined> {
    return parseOrUnbelieved(id, await redis.hmget(keys.record(id), ...RECORD_FIELDS), authentic);
  }

  const isHeld = async (id: string): Promise<boolean> => (await redis.zscore(keys.held, id)) !== null;

  async function othersBefore(head: Pick<MessageRecord, "id" | "keys">): Promise<QueueContent["behind"]> {
    const before = await Promise.all(
      head.keys.map(async (key) => {
        const id = await redis.lindex(queueKey(key), 0);
        return id !== null && id !== head.id ? [{ key, id, held: await isHeld(id) }] : [];
      }),
    );
    return before.flat();
  }

  /** The queues that a dead letter holds, by which and since when. */
  async function heldQueues(): Promise<{ key: OrderingKey; held: string; since: Micros }[]> {
    const scored = await redis.zrange(keys.held, "0", String(LOOK_AT - 1), "WITHSCORES");
    const ids = scored.filter((_, i) => i % 2 === 0);
    const texts = await Promise.all(ids.map((id) => redis.hget(keys.record(id), "keys")));
    return ids.flatMap((held, i) =>
      parseKeys(texts[i]).map((key) => ({ key, held, since: Number(scored[2 * i + 1]) })),
    );
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
          else found.set(key, { key, waiting: 1, oldest: Number(scored[2 * i + 1]), held: undefined });
        }
      });
      for (const { key, held, since } of await heldQueues())
        found.set(key, { ...(found.get(key) ?? { key, waiting: 0, oldest: since }), held });
      return { queues: [...found.values()], more: scored.length > 2 * LOOK_AT };
    },

    async read(key, limit) {
      const [time, waiting, ids] = await Promise.all([
        redis.time(),
        redis.llen(queueKey(key)),
        redis.lrange(queueKey(key), 0, limit - 1),
      ]);
      const records = await Promise.all(ids.map(readRecord));
      const head = records[0];
      const [behind, retryAt] = head
        ? await Promise.all([othersBefore(head), redis.hget(keys.record(head.id), "retry_at")])
        : [[], null];
      return {
        key,
        now: toMicros(time),
        waiting: (head?.held ? waiting - 1 : waiting) - ids.filter(isBarrier).length,
        commands: records.flatMap((record) => record ?? []),
        behind,
        retryAt: retryAt === null ? undefined : Number(retryAt),
      };
    },

    async hold({ id, keys: about, state, held }) {
      const before = state === "queued" ? await othersBefore({ id, keys: about }) : [];
      const behind = held ? await Promise.all(about.map((key) => redis.lrange(queueKey(key), 1, LOOK_AT))) : undefined;
      return {
        heldBackBy: before.find((other) => other.held)?.id,
        waitingBehind: behind && new Set(behind.flat()).size,
      };
    },
  };
}
