import type { Redis } from "ioredis";
import { z } from "zod";
import type { OutboxKeys } from "../redis/keys.ts";

/** The contents of a destination's outbox: only counts and times. */
export const destinationLoad = z.object({
  waiting: z.int(),
  dead_letters: z.int(),
  /** DESTINATION_BACKLOG is reached: further events wait in the journal. */
  full: z.boolean(),
  oldest_waiting: z.string().nullable(),
  oldest_dead_letter: z.string().nullable(),
  /** When the oldest waiting message is retried, if it failed before. */
  next_attempt: z.string().nullable(),
});
export type DestinationLoad = z.infer<typeof destinationLoad>;

const iso = (micros: string | null | undefined): string | null =>
  micros ? new Date(Math.round(Number(micros) / 1000)).toISOString() : null;

/** @param most DESTINATION_BACKLOG */
export async function readLoad(redis: Redis, keys: OutboxKeys, most: number): Promise<DestinationLoad> {
  const [waiting, dead, [oldest, waitingSince], [, deadSince]] = await Promise.all([
    redis.zcard(keys.open),
    redis.zcard(keys.dead),
    redis.zrange(keys.open, "0", "0", "WITHSCORES"),
    redis.zrange(keys.dead, "0", "0", "WITHSCORES"),
  ]);
  return {
    waiting,
    dead_letters: dead,
    full: waiting >= most,
    oldest_waiting: iso(waitingSince),
    oldest_dead_letter: iso(deadSince),
    next_attempt: oldest === undefined ? null : iso(await redis.hget(keys.record(oldest), "retry_at")),
  };
}
