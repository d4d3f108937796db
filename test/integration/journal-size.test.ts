import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startRedis } from "../../tools/setup/redis.ts";
import { until } from "../../tools/support/until.ts";
import { journalProblems } from "../../worker/events/pipeline.ts";
import { ownJournal } from "../support/own-journal.ts";

const MIB = 1024 * 1024;

async function redisOfItsOwn() {
  const dir = mkdtempSync(join(tmpdir(), "journal-size-"));
  const redis = await startRedis({ dir, appendonly: false });
  onTestFinished(async () => {
    await redis.stop();
    rmSync(dir, { recursive: true });
  });
  return redis;
}

test("a journal within its bounds stands still in a full Redis and says so; beyond its bytes, it makes room itself", async () => {
  const { url } = await redisOfItsOwn();
  const large = await ownJournal("full", { redisUrl: url });
  const entries = Array.from({ length: 200 }, () => ({ payload: { text: "x".repeat(2000) } }));
  for (let i = 0; i < 40; i += 1) await large.write(...entries);
  const { redis, keys } = large;
  const size = async () => Number(await redis.memory("USAGE", keys.journal, "SAMPLES", 20));
  expect(await size()).toBeGreaterThan(12 * MIB);

  await redis.config("SET", "maxmemory", 8 * MIB);
  const waiting = large.write({ payload: "after" });
  const standstill = await until("it stands still", () => large.standstill());
  expect(standstill.reason).toMatch(/out of memory/);
  expect(journalProblems(standstill, standstill.since.getTime() + 4000)).toEqual([]);
  expect(journalProblems(standstill, standstill.since.getTime() + 6000)).toMatchObject([
    { code: "journal-standstill", severity: "critical", since: standstill.since.toISOString() },
  ]);
  await redis.config("SET", "maxmemory", 64 * MIB);
  await waiting;
  expect(large.standstill()).toBeUndefined();

  // The next owner has a bound, and finds Redis full.
  const bounded = await ownJournal("full", { redisUrl: url, maxBytes: 2 * MIB });
  await redis.config("SET", "maxmemory", 8 * MIB);
  const [written] = await bounded.write({ payload: "at last" });
  expect(await size()).toBeLessThan(3 * MIB);
  expect(await redis.xrevrange(keys.journal, "+", "-", "COUNT", 1)).toMatchObject([[written?.id, expect.anything()]]);
});
