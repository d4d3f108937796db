import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test } from "vitest";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { startCad } from "../../tools/simulator/cad.ts";
import { startProcess } from "../../tools/setup/process.ts";
import { runScript } from "../../tools/setup/run-script.ts";
import { until } from "../../tools/support/until.ts";
import type { Worker } from "../../worker/runtime/lifecycle.ts";
import { type Bridge, CAD_TOKEN, startBridge } from "../support/bridge.ts";
import { ownRedis } from "../support/own-redis.ts";
import { testRedis } from "../support/redis.ts";

const STATUS = { unit_id: "1", status: "enroute" };

/** A CAD that no command of the bridge is for. */
async function otherCad() {
  const cad = await startCad({ token: CAD_TOKEN, character: "modern" });
  onTestFinished(() => cad.stop());
  return cad;
}

/** A worker as a process of its own, which can be killed. */
async function workerProcess(bridge: Bridge) {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-test-"));
  const output = join(dir, "worker.log");
  const started = await startProcess({
    name: "worker",
    script: "worker/main.ts",
    output,
    env: {
      ...{ REDIS_URL: inject("redisUrl"), REDIS_PREFIX: bridge.prefix, LOG_FILE: undefined },
      ...{ CAD_BACKEND_URL: bridge.cad.url, CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN, WORKER_PORT: "0" },
    },
    readyWhen: async () => readFileSync(output, "utf8").includes("started"),
  });
  onTestFinished(async () => {
    await started.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return started;
}

async function ownHealth(worker: Worker | undefined) {
  const response = await fetch(`http://127.0.0.1:${worker?.port}/health`);
  const body = (await response.json()) as { role: string; problems: { code: string }[] };
  return { code: response.status, role: body.role, problems: body.problems.map((problem) => problem.code) };
}

async function problemsOf(bridge: Bridge): Promise<string[]> {
  const { body } = await bridge.get("/health");
  return (body["problems"] as { code: string }[]).map((problem) => problem.code);
}

const accept = async (bridge: Bridge) => (await bridge.post("/units/status", STATUS)).body["command_id"];

test("a worker of another CAD stands by when the owner is killed, says so, and no command reaches its CAD", async () => {
  const bridge = await startBridge({ cad: { character: "modern" }, worker: false });
  const owner = await workerProcess(bridge);
  await bridge.healthy();
  const other = await otherCad();
  const wrong = await bridge.startWorker({ CAD_BACKEND_URL: other.url });
  const refusals = () => bridge.logs.filter((line) => line.message.includes("belongs to another CAD")).length;
  await until("it says so while the owner lives", () => refusals() > 0);
  owner.kill("SIGKILL");
  const ids = [await accept(bridge), await accept(bridge)];
  const redis = testRedis();
  await until("nobody owns the CAD", async () => (await redis.get(outboxKeys(bridge.prefix).lease)) === null);
  expect(refusals()).toBe(1);
  expect(await ownHealth(wrong)).toMatchObject({ code: 503, role: "standby", problems: ["wrong-cad"] });
  expect(await problemsOf(bridge)).toContain("worker-silent");
  const cad = { CAD_BACKEND_URL: other.url, CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN };
  const env = { REDIS_URL: inject("redisUrl"), REDIS_PREFIX: bridge.prefix, ...cad };
  expect((await runScript("tools/doctor/doctor.ts", [], env).ended).output).toContain("wrong-cad");
  await bridge.startWorker();
  for (const id of ids) expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
  expect(other.ledger.summary()).toMatchObject({ commands: 0 });
}, 60_000);

test.each([
  ["has the same CAD_ID under another address", () => ({ CAD_ID: "county" }), () => ({ CAD_ID: "county" })],
  ["is told the address that the CAD moved from", () => ({}), (cad: string) => ({ CAD_MOVED_FROM: cad })],
  [
    "is told the id that the CAD moved from",
    () => ({ CAD_ID: "old" }),
    () => ({ CAD_ID: "new", CAD_MOVED_FROM: "old" }),
  ],
])("a worker that %s takes the store over", async (_what, before, after) => {
  const bridge = await startBridge({ cad: { character: "modern" }, worker: before() });
  await bridge.worker()?.stop();
  const id = await accept(bridge);
  const moved = await otherCad();
  await bridge.startWorker({ CAD_BACKEND_URL: moved.url, ...after(bridge.cad.url) });
  expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
  expect(moved.ledger.summary()).toMatchObject({ commands: 1 });
});

test("a store of an earlier version, which does not say whose it is, is taken as it is", async () => {
  const bridge = await startBridge({ cad: { character: "modern" } });
  await bridge.worker()?.stop();
  const redis = testRedis();
  const { store } = outboxKeys(bridge.prefix);
  await redis.del(store);
  const id = await accept(bridge);
  await bridge.startWorker();
  expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
  expect(await redis.hgetall(store)).toMatchObject({ url: bridge.cad.url });
});

test("Redis loses everything while all runs: the bridge goes on, and says so in health and log", async () => {
  const own = await ownRedis();
  const bridge = await startBridge({ redisUrl: own.url, cad: { character: "modern" } });
  const before = await bridge.deliver("/units/status", STATUS);
  const admin = new Redis(own.url);
  onTestFinished(() => admin.disconnect());
  await admin.flushall();
  const after = await until("it delivers again", async () => {
    const { status, body } = await bridge.post("/units/status", STATUS);
    return status === 202 && body["command_id"];
  });
  expect(after).not.toBe(before.command_id);
  expect(await bridge.settled(after)).toMatchObject({ status: "confirmed" });
  await until("health says so", async () => (await problemsOf(bridge)).includes("redis-emptied"));
  expect(bridge.logs.filter((line) => line.message.includes("lost its data"))).toHaveLength(1);
});
