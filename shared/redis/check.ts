import type { Redis } from "ioredis";
import { withDeadline } from "../util/sleep.ts";

/** One thing that was looked at: it is as it should be, or there is a way to fix it. */
export type Finding = { ok: true; what: string } | { ok: false; what: string; hint: string };

/** @param hint told only if it is not `ok` */
export const finding = (ok: boolean, what: string, hint: string): Finding => (ok ? { ok, what } : { ok, what, hint });

const OLDEST = [7, 0] as const;
const ANSWER_MS = 5000;
/** How far a clock may be off before it is told, ms. */
const CLOCK_LIMIT_MS = 2000;

/** Looks at what the promise of the bridge rests on. Throws if Redis does not answer within 5 s. */
export async function checkRedis(redis: Redis): Promise<Finding[]> {
  const asked = Date.now();
  const [seconds, micros] = await withDeadline(redis.time(), ANSWER_MS, "asking Redis for the time");
  const info = parseInfo(await withDeadline(redis.info(), ANSWER_MS, "asking Redis how it is"));
  const clockMs = Math.round(Number(seconds) * 1000 + Number(micros) / 1000 - (asked + Date.now()) / 2);
  return [version(info), persistence(info), eviction(info), memory(info), clock("Redis", clockMs)];
}

/** @param differenceMs how far another clock is ahead of this one */
export function clock(whose: string, differenceMs: number): Finding {
  const off = Math.abs(differenceMs);
  const what = `the clock of ${whose} is ${off} ms ${differenceMs < 0 ? "behind" : "ahead of"} this one`;
  return finding(off <= CLOCK_LIMIT_MS, what, "set both by NTP");
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
  // Valkey tells the version of Redis that it is compatible with under the same name.
  const text = info.get("redis_version") ?? "unknown";
  const [major = 0, minor = 0] = text.split(".").map(Number);
  const ok = major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
  return finding(ok, `Redis is version ${text}`, `use ${OLDEST.join(".")} or newer`);
}

function persistence(info: Info): Finding {
  const ok = info.get("aof_enabled") === "1" && info.get("aof_last_write_status") !== "err";
  const hint = "set appendonly yes, and see that its disk has room: without it a restart loses what was accepted";
  return finding(ok, `the append-only file is ${ok ? "on" : "off or cannot be written"}`, hint);
}

function eviction(info: Info): Finding {
  const policy = info.get("maxmemory_policy") ?? "unknown";
  const ok = policy === "noeviction";
  const hint = "set maxmemory-policy noeviction: any other one throws accepted commands away when memory runs short";
  return finding(ok, `the eviction policy is ${policy}`, hint);
}

function memory(info: Info): Finding {
  const used = Number(info.get("used_memory"));
  const max = Number(info.get("maxmemory"));
  const ok = max === 0 || used < 0.8 * max;
  const of = max === 0 ? "no limit" : `${mib(max)} MiB`;
  const hint = "give it more memory: beyond its limit new commands are refused with 503";
  return finding(ok, `Redis uses ${mib(used)} MiB of ${of}`, hint);
}
const mib = (bytes: number): number => Math.round(bytes / 1024 / 1024);
