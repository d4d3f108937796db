import type { Redis } from "ioredis";
import { withDeadline } from "./sleep.ts";

/** One thing that was looked at: whether it is as it should be, and if not, how to mend it. */
export interface Finding {
  ok: boolean;
  what: string;
  mend?: string;
}

const OLDEST = [7, 0] as const;
const ANSWER_MS = 5000;
/** How far a clock may be off before it is told, ms. */
export const CLOCK_LIMIT_MS = 2000;

/** Looks at what the promise of the bridge rests on. Throws if Redis does not answer within 5 s. */
export async function checkRedis(redis: Redis): Promise<Finding[]> {
  const asked = Date.now();
  const [seconds, micros] = await withDeadline(redis.time(), ANSWER_MS, "asking Redis for the time");
  const info = parseInfo(await withDeadline(redis.info(), ANSWER_MS, "asking Redis how it is"));
  const clockMs = Math.round(Number(seconds) * 1000 + Number(micros) / 1000 - (asked + Date.now()) / 2);
  return [version(info), persistence(info), eviction(info), memory(info), clock("Redis", clockMs)];
}

/** @param differenceMs how far another clock is ahead of this one */
export const clock = (whose: string, differenceMs: number): Finding => ({
  ok: Math.abs(differenceMs) <= CLOCK_LIMIT_MS,
  what: `the clock of ${whose} is ${Math.abs(differenceMs)} ms ${differenceMs < 0 ? "behind" : "ahead of"} this one`,
  ...(Math.abs(differenceMs) > CLOCK_LIMIT_MS && { mend: "set both by NTP" }),
});

const parseInfo = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text.split("\r\n").flatMap((row) => {
      const colon = row.indexOf(":");
      return colon > 0 ? [[row.slice(0, colon), row.slice(colon + 1)] as const] : [];
    }),
  );
type Info = ReturnType<typeof parseInfo>;

function version(info: Info): Finding {
  // Valkey tells the version of Redis that it is compatible with under the same name.
  const text = info.get("redis_version") ?? "unknown";
  const [major = 0, minor = 0] = text.split(".").map(Number);
  const ok = major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
  return { ok, what: `Redis is version ${text}`, ...(!ok && { mend: `use ${OLDEST.join(".")} or newer` }) };
}

function persistence(info: Info): Finding {
  const ok = info.get("aof_enabled") === "1" && info.get("aof_last_write_status") !== "err";
  const mend = "set appendonly yes, and see that its disk has room: without it a restart loses what was accepted";
  return {
    ok,
    what: ok ? "the append-only file is on" : "the append-only file is off or cannot be written",
    ...(!ok && { mend }),
  };
}

function eviction(info: Info): Finding {
  const policy = info.get("maxmemory_policy") ?? "unknown";
  const ok = policy === "noeviction";
  const mend = "set maxmemory-policy noeviction: any other one throws accepted commands away when memory runs short";
  return { ok, what: `the eviction policy is ${policy}`, ...(!ok && { mend }) };
}

function memory(info: Info): Finding {
  const used = Number(info.get("used_memory"));
  const max = Number(info.get("maxmemory"));
  const ok = max === 0 || used < 0.8 * max;
  const of = max === 0 ? "no limit" : `${mib(max)} MiB`;
  const mend = "give it more memory: beyond its limit new commands are refused with 503";
  return { ok, what: `Redis uses ${mib(used)} MiB of ${of}`, ...(!ok && { mend }) };
}
const mib = (bytes: number): number => Math.round(bytes / 1024 / 1024);
