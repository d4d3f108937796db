import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { openJobQueue } from "../../../shared/outbox/queue.ts";
import type { Log } from "../../../shared/util/log.ts";
import { ask, text } from "../../support/api.ts";
import { Limit } from "../../replay/keyed-chain.ts";
import type { Accepted, Left, SeenReceipt } from "../check/checker.ts";
import type { Rig } from "./rig.ts";

const LOOK_EVERY_MS = 100;
const NO_LOG: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Waits up to `withinMs` until the outbox and the queue are empty; returns what the last poll found in them. */
export async function waitUntilEmpty({ redisUrl, keys }: Rig, withinMs: number): Promise<Left> {
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  redis.on("error", () => undefined);
  const queue = openJobQueue(redis, keys, NO_LOG);
  const deadline = performance.now() + withinMs;
  try {
    for (;;) {
      const open = await redis.zcard(keys.open);
      const left = open > 0 ? undefined : await look(redis, keys, await queue.counts());
      const empty = left !== undefined && left.outbox.length === 0 && Object.values(left.jobs).every((n) => n === 0);
      if (left && empty) return left;
      if (performance.now() > deadline) return left ?? (await look(redis, keys, await queue.counts()));
      await pause(LOOK_EVERY_MS);
    }
  } finally {
    await queue.close();
    redis.disconnect();
  }
}

async function look(redis: Redis, keys: Rig["keys"], jobs: Record<string, number>): Promise<Left> {
  const outbox: string[] = [];
  for (const key of [keys.open, keys.runnable]) {
    const ids = await redis.zrange(key, "0", "2");
    if (ids.length > 0) outbox.push(`${await redis.zcard(key)} in ${key}: ${ids.join(", ")}`);
  }
  for (let cursor = "0", first = true; first || cursor !== "0"; first = false) {
    const [next, lines] = await redis.scan(cursor, "MATCH", `${keys.base}:line:*`, "COUNT", 1000);
    for (const line of lines) outbox.push(`${await redis.llen(line)} in ${line}`);
    cursor = next;
  }
  return { outbox, jobs };
}

const ASKED_AT_ONCE = 16;

/** The receipts of the commands, read from the API. */
export async function readReceipts(
  { urls, token }: Rig,
  accepted: readonly Accepted[],
): Promise<Map<string, SeenReceipt>> {
  const limit = new Limit(ASKED_AT_ONCE);
  const receipts = new Map<string, SeenReceipt>();
  const read = async (id: string, attempt = 1): Promise<void> => {
    const answer = await ask("GET", `${urls[attempt % urls.length]}/commands/${id}`, { token }).catch(() => undefined);
    if (answer?.status === 200) {
      receipts.set(id, { status: String(answer.body["status"]), reason: text(answer.body["reason"]) ?? null });
    } else if (answer?.status !== 404 && attempt < 10) {
      await pause(200);
      await read(id, attempt + 1);
    }
  };
  await Promise.all(accepted.map(({ id }) => limit.run(() => read(id))));
  return receipts;
}
