import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test } from "vitest";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { until } from "../../tools/support/until.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";

const HOUR = 3_600_000;
const percents = async (bridge: Bridge) => {
  const { body } = await bridge.get("/health");
  const { uptime_percent_24h: day, uptime_percent_30d: month } = body["bridge"] as Record<string, unknown>;
  return { day, month };
};

test("health reports the uptime of the connection, which outlasts a worker; null without one", async () => {
  const bridge = await startBridge({ worker: false });
  expect(await percents(bridge)).toEqual({ day: null, month: null });

  // An earlier worker: ready for 6 of the last 12 hours, and for none of the 28 before; the oldest hour is beyond 30 days.
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(() => redis.disconnect());
  const { uptime } = outboxKeys(bridge.prefix);
  const hour = Math.floor(Date.now() / HOUR);
  const before = { from: Date.now() - 40 * HOUR, [hour - 6]: 6 * HOUR, [hour - 1000]: HOUR };
  await redis.hset(uptime, before);

  const worker = await bridge.startWorker();
  await until("it goes on from there", async () => {
    const { day, month } = await percents(bridge);
    return Math.abs(Number(day) - 25) < 1 && Math.abs(Number(month) - 15) < 1;
  });
  await until("the current hour is saved", async () => Number(await redis.hget(uptime, String(hour))) > 0);
  expect(await redis.hexists(uptime, String(hour - 1000))).toBe(0);
  expect(await redis.hget(uptime, "from")).toBe(String(before.from));
  expect(await redis.ttl(uptime)).toBeGreaterThan(30 * 24 * 3600);
  await worker.stop();
  expect(await percents(bridge)).toEqual({ day: null, month: null });
});
