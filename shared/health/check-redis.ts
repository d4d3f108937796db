import type { Redis } from "ioredis";
import { found, type Found, type ProblemCode } from "./problems.ts";
import { faultReason, redisFault, whyFailed } from "../redis/fault.ts";
import { withDeadline } from "../util/sleep.ts";

/** The result of one check: as it should be, or a problem. */
export type Finding = { ok: true; what: string } | { ok: false; problem: Found };

export const fine = (what: string): Finding => ({ ok: true, what });
export const wrong = <Code extends ProblemCode>(...args: Parameters<typeof found<Code>>): Finding => ({
  ok: false,
  problem: found(...args),
});

/** The problem for a Redis that fails a command. */
export function redisProblem(error: unknown): Found {
  switch (redisFault(error)) {
    case "refused":
      return found("redis-refused", { reason: faultReason(error) });
    case "unsuitable":
      return found("redis-unsuitable", { reason: faultReason(error) });
    case "moving":
      return found("redis-moving", {});
    case "full":
      return found("redis-full", {});
    default:
      return found("redis-unavailable", { reason: whyFailed(error) });
  }
}
export const redisTrouble = (error: unknown): Finding => ({ ok: false, problem: redisProblem(error) });

const OLDEST = [7, 0] as const;
const ANSWER_MS = 5000;
/** Tolerated clock difference, ms. */
const CLOCK_LIMIT_MS = 2000;

/** Checks the requirements of the bridge's promise. Throws if Redis does not answer within 5 s. */
export const checkRedis = async (redis: Redis): Promise<Finding[]> => (await readRedis(redis)).findings;

/** The same, with Redis's used and maximum memory, bytes; 0: unlimited. */
export async function readRedis(redis: Redis): Promise<{ findings: Finding[]; memory: number; memoryLimit: number }> {
  const asked = Date.now();
  const [seconds, micros] = await withDeadline(redis.time(), ANSWER_MS, "asking Redis for the time");
  const info = parseInfo(await withDeadline(redis.info(), ANSWER_MS, "asking Redis how it is"));
  const clockMs = Math.round(Number(seconds) * 1000 + Number(micros) / 1000 - (asked + Date.now()) / 2);
  return {
    findings: [version(info), persistence(info), eviction(info), memory(info), clock("Redis", clockMs)],
    memory: Number(info.get("used_memory")),
    memoryLimit: Number(info.get("maxmemory")),
  };
}

/** @param differenceMs how far the other clock is ahead of this one */
export function clock(whose: string, differenceMs: number): Finding {
  const off = Math.abs(differenceMs);
  if (off > CLOCK_LIMIT_MS) return wrong("clock-skew", { whose, ms: differenceMs });
  return fine(`the clock of ${whose} is ${off} ms ${differenceMs < 0 ? "behind" : "ahead of"} this one`);
}

const parseInfo = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text.split("\r\n").flatMap((row) => {
      const colon = row.indexOf(":");
      return colon > 0 ? [[row.slice(0, colon), row.slice(colon + 1)] as const] : [];
    }),
  );
type Info = ReturnType<typeof parseInfo>;

function version(info: Info): Finding {
  // Valkey reports the Redis version it is compatible with in the same field.
  const text = info.get("redis_version") ?? "unknown";
  const [major = 0, minor = 0] = text.split(".").map(Number);
  const ok = major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
  return ok ? fine(`Redis is version ${text}`) : wrong("redis-too-old", { version: text });
}

function persistence(info: Info): Finding {
  const ok = info.get("aof_enabled") === "1" && info.get("aof_last_write_status") !== "err";
  return ok ? fine("the append-only file is on") : wrong("redis-not-durable", {});
}

function eviction(info: Info): Finding {
  const policy = info.get("maxmemory_policy") ?? "unknown";
  return policy === "noeviction" ? fine(`the eviction policy is ${policy}`) : wrong("redis-evicts", { policy });
}

function memory(info: Info): Finding {
  const used = Number(info.get("used_memory"));
  const max = Number(info.get("maxmemory"));
  if (max > 0 && used >= 0.8 * max) return wrong("redis-memory-short", { used: mib(used), limit: mib(max) });
  return fine(`Redis uses ${mib(used)} MiB of ${max === 0 ? "no limit" : `${mib(max)} MiB`}`);
}
const mib = (bytes: number): number => Math.round(bytes / 1024 / 1024);
