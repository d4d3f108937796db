import type { Redis } from "ioredis";
import { z } from "zod";
import { REDRIVABLE_STATES } from "../outbox/states.ts";
import { openIfAuthentic } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import type { OutboxKeys } from "../redis/keys.ts";
import { parseJson } from "../util/json.ts";

/** Number of minutes kept: one more than an hour, since each is a difference to the previous one. */
export const KEPT_MINUTES = 61;
/** How long a worker that stopped announcing itself is listed, ms. */
export const WORKER_KEPT_MS = 600_000;
/** A worker that has not announced itself for this long is shown as silent, s. */
export const WORKER_SILENT_S = 10;

const HOUR_MS = 3_600_000;
const DAY_HOURS = 24;

/** What the leader records once per minute. Counts are cumulative: a reader computes the differences. */
export const minuteNote = z.object({
  /** ms since 1970 */
  at: z.number(),
  settled: z.record(z.string(), z.number()),
  unsettled: z.number(),
  /** Median time from acceptance to the final state of the commands settled in this minute, ms; null if there were none. */
  p50: z.number().nullable(),
  p95: z.number().nullable(),
  ready: z.boolean(),
});
export type MinuteNote = z.infer<typeof minuteNote>;

/** One minute of the history. */
export interface Minute {
  at: number;
  /** In this minute. */
  accepted: number;
  settled: number;
  /** The settled commands that became dead letters or unconfirmed. */
  undelivered: number;
  /** At its end. */
  unsettled: number;
  p50: number | null;
  p95: number | null;
  ready: boolean;
}

const sum = (counts: Readonly<Record<string, number>>, names: readonly string[] = Object.keys(counts)): number =>
  names.reduce((total, name) => total + (counts[name] ?? 0), 0);

/** The differences between consecutive notes. A count that went down belongs to a store that was emptied. */
export function toMinutes(notes: readonly MinuteNote[]): Minute[] {
  return notes.slice(1).flatMap((note, i): Minute[] => {
    const before = notes[i];
    if (!before) return [];
    const settled = sum(note.settled) - sum(before.settled);
    if (settled < 0) return [];
    return [
      {
        at: note.at,
        accepted: Math.max(0, settled + note.unsettled - before.unsettled),
        settled,
        undelivered: sum(note.settled, REDRIVABLE_STATES) - sum(before.settled, REDRIVABLE_STATES),
        unsettled: note.unsettled,
        p50: note.p50,
        p95: note.p95,
        ready: note.ready,
      },
    ];
  });
}

/** Share of an hour in which the CAD was ready, percent; null if not measured. */
export interface Hour {
  at: number;
  readyPercent: number | null;
}

/** The last 24 hours, oldest first, from the hash that the worker counts in. @param now ms since 1970 */
export function toHours(hash: Readonly<Record<string, string>>, now: number): Hour[] {
  const from = hash["from"] === undefined ? Infinity : Number(hash["from"]);
  const current = Math.floor(now / HOUR_MS);
  return Array.from({ length: DAY_HOURS }, (_, i) => {
    const hour = current - DAY_HOURS + 1 + i;
    const begin = Math.max(hour * HOUR_MS, from);
    const length = Math.min((hour + 1) * HOUR_MS, now) - begin;
    const ready = Number(hash[String(hour)] ?? 0);
    return { at: hour * HOUR_MS, readyPercent: length > 0 ? Math.min(100, (100 * ready) / length) : null };
  });
}

/** The context that authenticates a field of the uptime hash. */
export const uptimeId = (keys: OutboxKeys, field: string): string => JSON.stringify([keys.uptime, field]);

/** The uptime hash as written by the worker; forged fields are left out, and count as not ready. */
export function openUptime(
  hash: Readonly<Record<string, string>>,
  sealer: Sealer,
  keys: OutboxKeys,
): Record<string, string> {
  const fields = Object.entries(hash).map(([field, stored]) => [
    field,
    openIfAuthentic(sealer, "uptime", uptimeId(keys, field), stored),
  ]);
  return Object.fromEntries(fields.filter(([, text]) => text !== undefined)) as Record<string, string>;
}

export interface KnownWorker {
  instance: string;
  ageSeconds: number;
}

export interface History {
  minutes: Minute[];
  hours: Hour[];
  workers: KnownWorker[];
}

/** The last hour, the connection during the last day, and the workers. */
export async function readHistory(redis: Redis, keys: OutboxKeys, sealer: Sealer): Promise<History> {
  const [[seconds], texts, uptime, scored] = await Promise.all([
    redis.time(),
    redis.lrange(keys.history, 0, -1),
    redis.hgetall(keys.uptime),
    redis.zrange(keys.workers, "0", "99", "WITHSCORES"),
  ]);
  const now = Number(seconds) * 1000;
  const notes = texts.flatMap((stored) => {
    const text = openIfAuthentic(sealer, "minute", keys.history, stored);
    return (text !== undefined && minuteNote.safeParse(parseJson(text)).data) || [];
  });
  // Deduplicated and sorted, so that notes moved or copied within the list have no effect.
  const inTime = [...new Map(notes.map((note) => [note.at, note])).values()].toSorted((a, b) => a.at - b.at);
  const workers = scored.flatMap((instance, i) =>
    i % 2 === 0 ? [{ instance, ageSeconds: Math.max(0, now - Number(scored[i + 1])) / 1000 }] : [],
  );
  return { minutes: toMinutes(inTime), hours: toHours(openUptime(uptime, sealer, keys), now), workers };
}
