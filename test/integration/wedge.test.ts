import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test } from "vitest";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { openJobs } from "../../worker/delivery/job-watchdog.ts";
import { keptLog } from "../support/log.ts";
import { freshPrefix } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

const connect = () => new Redis(inject("redisUrl"), { maxRetriesPerRequest: null });

/** The queue's side of a worker, with its patience cut short. */
function startLine() {
  const keys = outboxKeys(freshPrefix());
  const stopping = new AbortController();
  const seen: string[] = [];
  const wedged = { told: false };
  const { log, lines } = keptLog();
  const jobs = openJobs({
    connect,
    keys,
    concurrency: 4,
    isOpen: () => true,
    canaryMs: 50,
    silentMs: 1500,
    onWedged: () => void (wedged.told = true),
    signal: stopping.signal,
    log,
  });
  jobs.start(async (id) => void seen.push(id));
  const admin = connect();
  onTestFinished(async () => {
    stopping.abort();
    await jobs.stop();
    admin.disconnect();
  });
  return { jobs, keys, seen, wedged, lines, admin };
}

test("a queue with nothing to do is alive: beats go through it, and no command sees them", async () => {
  const { jobs, keys, seen, wedged, lines, admin } = startLine();
  await jobs.queue.add(["a"]);
  // Every job leaves several events: so many that the limit has passed more than once.
  const events = `${keys.queue.prefix}:${keys.queue.name}:events`;
  await until("many beats went by", async () => (await admin.xlen(events)) > 100);
  expect(jobs.consuming()).toBe(true);
  expect(lines.filter((l) => l.message.includes("opening a new connection"))).toEqual([]);
  expect(wedged.told).toBe(false);
  expect(seen).toEqual(["a"]);
});

test("a queue that hands out nothing is built anew, and then given up", async () => {
  const { jobs, keys, wedged, lines, admin } = startLine();
  await jobs.queue.counts();
  // What BullMQ's own pause leaves behind: no worker gets a job from then on.
  await admin.hset(`${keys.queue.prefix}:${keys.queue.name}:meta`, "paused", "1");
  await until("it says so", () => !jobs.consuming());
  await until("it is built anew", () => lines.some((l) => l.message.includes("opening a new connection")));
  await until("it is given up", () => wedged.told);
});

test("a queue that comes to itself again is not given up", async () => {
  const { jobs, keys, wedged, lines, admin } = startLine();
  await jobs.queue.counts();
  const meta = `${keys.queue.prefix}:${keys.queue.name}:meta`;
  await admin.hset(meta, "paused", "1");
  await until("it is built anew", () => lines.some((l) => l.message.includes("opening a new connection")));
  await admin.hdel(meta, "paused");
  await jobs.queue.add(["a"]);
  const events = `${keys.queue.prefix}:${keys.queue.name}:events`;
  const before = await admin.xlen(events);
  await until("many beats went by", async () => (await admin.xlen(events)) > before + 100);
  expect(wedged.told).toBe(false);
});
