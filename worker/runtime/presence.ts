import type { Redis } from "ioredis";
import { WORKER_KEPT_MS } from "../../shared/health/history.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { defineScript, integer, openScript, string } from "../../shared/redis/script.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";

const EVERY_MS = 2000;
const WRITE_MS = 1000;

/** `keptMs`: for how long a silent one is kept. By Redis's clock. */
const ANNOUNCE = defineScript(
  "workerPresence",
  { instance: string, keptMs: integer },
  `#!lua flags=allow-oom
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), args.instance)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - args.keptMs))
redis.call('PEXPIRE', KEYS[1], args.keptMs)`,
);

const within = (write: Promise<unknown>) =>
  withDeadline(write, WRITE_MS, "announcing the worker").catch(() => undefined);

/** Announces this worker, leading or standing by, until the signal aborts; then removes it. */
export async function announcePresence(
  redis: Redis,
  keys: OutboxKeys,
  instance: string,
  signal: AbortSignal,
): Promise<void> {
  const announce = openScript(redis, ANNOUNCE, [keys.workers]);
  for (; !signal.aborted; await sleep(EVERY_MS, signal)) await within(announce({ instance, keptMs: WORKER_KEPT_MS }));
  await within(redis.zrem(keys.workers, instance));
}
