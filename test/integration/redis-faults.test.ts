import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test } from "vitest";
import { NO_MEASURE } from "../../shared/metrics/measure.ts";
import { BRIDGE_EVENTS } from "../../shared/journal/entry.ts";
import { START } from "../../shared/redis/stream-id.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { createCadEvents } from "../../worker/events/pipeline.ts";
import { startProxy } from "../../tools/chaos/rig/proxy.ts";
import { startBridge } from "../support/bridge.ts";
import type { OwnRedis } from "../../tools/setup/redis.ts";
import { viewJournal } from "../support/journal.ts";
import { keptLog } from "../support/log.ts";
import { ownRedis } from "../support/own-redis.ts";
import { freshPrefix } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

/** What the worker and Redis do is the same behind either host. */
const onNode = inject("host") === "node";

const STATUS = { unit_id: "1", status: "enroute" };

async function expect503(
  ask: () => Promise<{ status: number; headers: Headers; body: Record<string, unknown> }>,
  code: string,
) {
  const asked = performance.now();
  const answer = await ask();
  expect(performance.now() - asked).toBeLessThan(1500);
  expect(answer).toMatchObject({ status: 503, body: { code } });
  expect(answer.headers.get("Retry-After")).toMatch(/^\d+$/);
  return answer;
}

test("Redis down: 503 at once, never a hang; and all goes on when it is back, with nothing lost", async () => {
  const redis = await ownRedis();
  const bridge = await startBridge({ redisUrl: redis.url, cad: { character: "modern" } });
  bridge.cad.switches.refuseToken = true;
  bridge.cad.dropConnections();
  const before = (await bridge.post("/units/status", STATUS)).body["command_id"];
  await redis.stop();
  await expect503(() => bridge.post("/units/status", STATUS), "redis-unavailable");
  await expect503(() => bridge.get("/commands/x"), "redis-unavailable");
  const health = await bridge.get("/health");
  expect(health).toMatchObject({ status: 503, body: { status: "unhealthy", bridge: { connected: null } } });
  await redis.restart();
  bridge.cad.switches.refuseToken = false;
  const after = await until("it accepts again", async () => {
    const { status, body } = await bridge.post("/units/status", STATUS);
    return status === 202 && body["command_id"];
  });
  for (const id of [before, after]) expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
  expect(bridge.cad.ledger.summary()).toMatchObject({ violations: 0 });
});

test("a question that was asked while Redis was away leaves nothing broken behind", async () => {
  const redis = await ownRedis();
  const bridge = await startBridge({ redisUrl: redis.url, cad: { character: "modern" }, worker: false });
  await redis.stop();
  await expect503(() => bridge.get("/status"), "redis-unavailable");
  await redis.restart();
  await until("it answers again", async () => (await bridge.get("/status")).status === 200);
  await bridge.post("/units/status", STATUS);
  expect((await bridge.get("/status")).body["queue"]).toMatchObject({ waiting: 1 });
});

test("Redis hanging: 503 within 1.5 s with the id that makes repeating harmless", async () => {
  const redis = await ownRedis();
  const bridge = await startBridge({ redisUrl: redis.url, cad: { character: "modern" } });
  redis.process.kill("SIGSTOP");
  const answer = await expect503(() => bridge.post("/units/status", STATUS), "redis-unavailable");
  redis.process.kill("SIGCONT");
  const key = { "Idempotency-Key": String(answer.body["idempotency_key"]) };
  const again = await until("it answers again", async () => {
    const repeated = await bridge.post("/units/status", STATUS, key);
    return repeated.status === 202 && repeated;
  });
  expect(await bridge.settled(again.body["command_id"])).toMatchObject({ status: "confirmed" });
  expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 1, violations: 0 });
});

test.each([
  ["takes no writes since its replica is away", (admin: Redis) => admin.config("SET", "min-replicas-to-write", "1")],
  [
    "runs somebody's endless script",
    async (admin: Redis) => {
      await admin.config("SET", "busy-reply-threshold", "1");
      void admin.eval("while true do end", 0).catch(() => undefined);
    },
  ],
])("Redis %s: 503, as when it is away, and it goes on by itself", async (_what, torment) => {
  const redis = await ownRedis();
  const bridge = await startBridge({ redisUrl: redis.url, cad: { character: "modern" } });
  const admins = [new Redis(redis.url), new Redis(redis.url)] as const;
  onTestFinished(() => admins.forEach((admin) => admin.disconnect()));
  await torment(admins[0]);
  await until("it refuses", async () => (await bridge.post("/units/status", STATUS)).status !== 202);
  await expect503(() => bridge.post("/units/status", STATUS), "redis-unavailable");
  await until("the torment ends", () =>
    admins[1]
      .call("SCRIPT", "KILL")
      .catch(() => admins[1].config("SET", "min-replicas-to-write", "0"))
      .then(
        () => true,
        () => false,
      ),
  );
  const { body } = await until("it accepts again", async () => {
    const answer = await bridge.post("/units/status", STATUS);
    return answer.status === 202 && answer;
  });
  expect(await bridge.settled(body["command_id"])).toMatchObject({ status: "confirmed" });
});

test("Redis full: 503 with nothing accepted, and what it holds is delivered all the same", async () => {
  const redis = await ownRedis();
  const bridge = await startBridge({
    redisUrl: redis.url,
    cad: { character: "modern", switches: { refuseToken: true } },
    worker: false,
  });
  const admin = new Redis(redis.url);
  onTestFinished(() => admin.disconnect());
  const ids: unknown[] = [];
  for (let i = 0; i < 20; i += 1) ids.push((await bridge.post("/units/status", STATUS)).body["command_id"]);
  await admin.config("SET", "maxmemory", "1mb");
  await expect503(() => bridge.post("/units/status", STATUS), "redis-full");
  const problems = [{ code: "worker-missing" }, { code: "redis-full" }];
  expect(await bridge.get("/health")).toMatchObject({ status: 503, body: { status: "unhealthy", problems } });
  await admin.config("SET", "maxmemory", "0");
  bridge.cad.switches.refuseToken = false;
  await bridge.startWorker();
  for (const id of ids) expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
  expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 20, violations: 0 });
});

test("a command that Redis lost holds up none behind it, and the log says so", async () => {
  const redis = await ownRedis();
  const bridge = await startBridge({ redisUrl: redis.url, cad: { character: "modern" }, worker: false });
  const lost = String((await bridge.post("/units/status", STATUS)).body["command_id"]);
  const behind = (await bridge.post("/units/status", STATUS)).body["command_id"];
  const admin = new Redis(redis.url);
  onTestFinished(() => admin.disconnect());
  expect(await admin.del(outboxKeys(bridge.prefix).record(lost))).toBe(1);
  await bridge.startWorker();
  expect(await bridge.settled(behind)).toMatchObject({ status: "confirmed" });
  // Once, or twice: by the run at the start, and by its job if that came out only afterwards.
  expect(bridge.logs.filter((l) => l.fields["command_id"] === lost && l.level === "error")).not.toEqual([]);
  expect((await bridge.get("/health")).body["backlog"]).toMatchObject({ unsettled: 0 });
});

test("the worker's own health, owner and standby, says that Redis hangs, and that it is back", async () => {
  const redis = await ownRedis();
  const bridge = await startBridge({ redisUrl: redis.url });
  const workers = [bridge.worker(), await bridge.startWorker()];
  const codes = () =>
    Promise.all(workers.map(async (worker) => (await fetch(`http://127.0.0.1:${worker?.port}/health`)).status));
  await until("both are well", async () => (await codes()).every((code) => code === 200));
  redis.process.kill("SIGSTOP");
  await until("both say so", async () => (await codes()).every((code) => code === 503));
  redis.process.kill("SIGCONT");
  await until("both are well again", async () => (await codes()).every((code) => code === 200));
});

test.runIf(onNode).each([
  ["hangs", (redis: OwnRedis) => redis.process.kill("SIGSTOP")],
  ["is away", (redis: OwnRedis) => redis.process.kill("SIGKILL")],
])("a worker with much in flight stops within its time while Redis %s", async (_what, torment) => {
  const redis = await ownRedis();
  const slow = { delayMs: { min: 300, max: 1500 } };
  const bridge = await startBridge({ redisUrl: redis.url, cad: { character: "modern", switches: slow } });
  const posted = Array.from({ length: 400 }, (_, i) => bridge.post("/units/status", { ...STATUS, unit_id: `u${i}` }));
  await Promise.all(posted);
  await until("much is in flight", () => bridge.cad.ledger.summary().commands > 300);
  torment(redis);
  const asked = performance.now();
  await bridge.worker()?.stop();
  expect(performance.now() - asked).toBeLessThan(9000);
  redis.process.kill("SIGCONT");
});

test.runIf(onNode)(
  "Redis full: however many commands stand behind one another, all are delivered",
  async () => {
    const redis = await ownRedis();
    const bridge = await startBridge({ redisUrl: redis.url, cad: { character: "modern" }, worker: false });
    const admin = new Redis(redis.url);
    onTestFinished(() => admin.disconnect());
    let last: unknown;
    for (let i = 0; i < 150; i += 1) last = (await bridge.post("/units/status", STATUS)).body["command_id"];
    await admin.config("SET", "maxmemory", "1mb");
    await bridge.startWorker();
    expect(await bridge.settled(last, 15_000)).toMatchObject({ status: "confirmed" });
    expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 150, duplicates: 0, violations: 0 });
  },
  40_000,
);

test("Redis full: a handler that has something to say, and finds no room for it, waits until there is", async () => {
  const redis = await ownRedis();
  const { redis: own, keys, has } = viewJournal(freshPrefix(), redis.url);
  const blank = { kind: "event", keys: '["incident:A"]', payload: '{"incidentId":"A","priority":1}', wrong: "[]" };
  const highest = await own.xadd(keys.journal, "*", ...Object.entries({ ...blank, event: "incident:new" }).flat());
  await own.set(`${keys.cad}:owner`, "me");
  await own.hset(keys.cursors, "high-priority", START);
  await own.config("SET", "maxmemory", "1");

  const over = new AbortController();
  const { log } = keptLog();
  const config = { CAD_BACKEND_URL: "http://cad", JOURNAL_DAYS: 7, JOURNAL_MAX: 100_000, JOURNAL_MAX_BYTES: 0 };
  const signal = over.signal;
  const options = {
    config,
    redis: own,
    keys,
    sealer: createSealer([]),
    forgeries: { note: () => undefined },
    token: "me",
    more: [],
    random: () => 0,
    measure: NO_MEASURE,
    signal,
    log,
  };
  const cadEvents = createCadEvents(options);
  while (cadEvents.inbound.lost() === 0) void cadEvents.inbound.take({ event: "x", payload: null });
  const running = cadEvents.run().catch(() => undefined);
  onTestFinished(async () => {
    over.abort();
    await running;
  });
  const status = () => cadEvents.handlers().find(({ handler }) => handler === "high-priority");
  // Anything else would be held against the entry, and be the end of it after a few tries.
  expect(await until("it has tried", () => status()?.last_error)).toBe("full");
  await own.config("SET", "maxmemory", "0");
  const [said] = await has(BRIDGE_EVENTS.highPriority);
  expect(said?.payload).toMatchObject({ entry: highest });
});

test("a replica takes over and the old master goes on as its replica, closing no connection: nothing stays with it", async () => {
  const [master, replica] = [await ownRedis(), await ownRedis()];
  const [onMaster, onReplica] = [new Redis(master.url), new Redis(replica.url)];
  const proxy = await startProxy(master.port);
  onTestFinished(() => [onMaster, onReplica].forEach((redis) => redis.disconnect()));
  onTestFinished(() => proxy.stop());
  await onMaster.config("SET", "repl-diskless-sync-delay", "0");
  await onReplica.replicaof("127.0.0.1", master.port);
  const bridge = await startBridge({ redisUrl: `redis://127.0.0.1:${proxy.port}`, cad: { character: "modern" } });
  expect(await bridge.deliver("/units/status", STATUS)).toMatchObject({ status: "confirmed" });
  await until("the replica has it all", async () => (await onMaster.wait(1, 100)) === 1);

  await onReplica.replicaof("NO", "ONE");
  await onMaster.replicaof("127.0.0.1", replica.port);
  proxy.leadTo(replica.port);
  const { body } = await until("it accepts again", async () => {
    const answer = await bridge.post("/units/status", STATUS);
    return answer.status === 202 && answer;
  });
  expect(await bridge.settled(body["command_id"])).toMatchObject({ status: "confirmed" });
  expect(bridge.cad.ledger.summary()).toMatchObject({ violations: 0 });
});
