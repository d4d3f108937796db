import type { Redis } from "ioredis";
import { readRedis } from "../../shared/health/check-redis.ts";
import type { Found } from "../../shared/health/problems.ts";
import { journalKeys } from "../../shared/journal/keys.ts";
import { numbersOf } from "../../shared/outbox/backlog.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { defineScript, openScript } from "../../shared/redis/script.ts";

/** Figures from Redis that only the metrics show. */
export interface Figures {
  /** How many commands reached `STATE KIND BY`. */
  outcomes: Record<string, number>;
  /** How often the CAD had a new owner. */
  epoch: number;
  journal: { entries: number; newest: string };
  /** undefined where Redis does not let the bridge ask. */
  redis: { problems: Found[]; memory: number; memoryLimit: number } | undefined;
}

const FIGURES = defineScript(
  "bridgeFigures",
  {},
  `#!lua flags=no-writes,allow-oom
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
return {
  redis.call('HGETALL', KEYS[1] .. ':outcomes'),
  redis.call('GET', KEYS[1] .. ':epoch') or '0',
  redis.call('XLEN', KEYS[2]),
  newest[1] and newest[1][1] or '0-0',
}`,
);

/** Reads them; asked at each scrape alone. */
export function openFigures(redis: Redis, keys: OutboxKeys, prefix: string): () => Promise<Figures> {
  const read = openScript(redis, FIGURES, [keys.cad, journalKeys(prefix).journal]);
  const looked = async (): Promise<Figures["redis"]> => {
    const { findings, memory, memoryLimit } = await readRedis(redis);
    return { problems: findings.flatMap((f) => (f.ok ? [] : [f.problem])), memory, memoryLimit };
  };
  return async () => {
    const [reply, about] = await Promise.all([read(), looked().catch(() => undefined)]);
    const [outcomes, epoch, entries, newest] = Array.isArray(reply) ? reply : [];
    return {
      outcomes: numbersOf(outcomes),
      epoch: Number(epoch),
      journal: { entries: Number(entries), newest: String(newest) },
      redis: about,
    };
  };
}
