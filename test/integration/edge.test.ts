import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { commandLineOf } from "../../tools/support/leftover.ts";
import { freePort } from "../../tools/setup/free-port.ts";
import { startProcess } from "../../tools/setup/process.ts";
import { startRedis } from "../../tools/setup/redis.ts";
import { runScript } from "../../tools/setup/run-script.ts";
import { JWT_SECRET, startBridge } from "../support/bridge.ts";
import { until } from "../../tools/support/until.ts";

const STATUS = { unit_id: "1", status: "enroute" };

/** A Redis of a test's own, and who is connected to it. */
async function ownRedis() {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-edge-"));
  const redis = await startRedis({ dir });
  const admin = new Redis(redis.url);
  onTestFinished(async () => {
    admin.disconnect();
    await redis.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    dir,
    url: redis.url,
    connections: async () =>
      String(await admin.client("LIST"))
        .trim()
        .split("\n").length - 1,
    cutAll: () => admin.call("CLIENT", "KILL", "SKIPME", "yes"),
  };
}

test("a connection that Redis closed is made anew, and accepting goes on", async () => {
  const redis = await ownRedis();
  const bridge = await startBridge({ redisUrl: redis.url, worker: false });
  for (let round = 0; round < 3; round += 1) {
    expect((await bridge.post("/units/status", STATUS)).status).toBe(202);
    await redis.cutAll();
    await until("it accepts again", async () => (await bridge.post("/units/status", STATUS)).status === 202, 3000);
  }
});

test("many requests at once share the connections of the shards: EDGE_SHARDS bounds them", async () => {
  const redis = await ownRedis();
  const bridge = await startBridge({ redisUrl: redis.url, worker: false, functions: { EDGE_SHARDS: "2" } });
  const post = async (i: number) => (await bridge.post("/units/status", { ...STATUS, unit_id: `U${i}` })).status;
  const statuses = await Promise.all(Array.from({ length: 60 }, (_, i) => post(i)));
  expect(new Set(statuses)).toEqual(new Set([202]));
  // One for commands and one for subscriptions each.
  expect(await redis.connections()).toBe(4);
});

test("npm run edge answers, and a SIGTERM leaves no process", async () => {
  const redis = await ownRedis();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/api/socket-bridge/health`;
  const edge = await startProcess({
    name: "edge",
    script: "tools/up/edge.ts",
    output: join(redis.dir, "edge.log"),
    env: { REDIS_URL: redis.url, JWT_SECRET, PORT: String(port), LOG_LEVEL: "warn" },
    readyWhen: async ({ signal }) => {
      const { backlog } = (await (await fetch(url, { signal })).json()) as { backlog: unknown };
      return backlog !== null;
    },
  });
  onTestFinished(async () => void (await edge.stop()));
  expect(commandLineOf(edge.pid)).toContain("wrangler");
  // The secrets are on no command line.
  expect(commandLineOf(edge.pid)).not.toContain(JWT_SECRET);
  await edge.stop();
  expect(edge.running).toBe(false);
  await until("its workerd has ended too", () =>
    fetch(url).then(
      () => false,
      () => true,
    ),
  );
  await until("its connections are gone", async () => (await redis.connections()) === 0);
});

test("npm run up -- --edge plays its ten steps through workerd, and leaves no process", async () => {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-up-edge-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const port = await freePort();
  const args = ["--edge", "--once", "--dir", dir, "--port", String(port)];
  const run = runScript("tools/up/up.ts", args, { REDIS_URL: undefined, REDIS_PREFIX: undefined });
  onTestFinished(() => void run.child.kill("SIGTERM"));
  const { code, output } = await run.ended;
  expect(output).toMatch(/at the edge: workerd[^]*10 of 10 steps done/);
  expect(code).toBe(0);
  await expect(fetch(`http://127.0.0.1:${port}`)).rejects.toThrow("fetch failed");
});

test("npm run edge without what it needs says so, with exit code 78", async () => {
  const { code, output } = await runScript("tools/up/edge.ts", [], { REDIS_URL: "redis://x", JWT_SECRET: "" }).ended;
  expect(code).toBe(78);
  expect(output).toMatch(/JWT_SECRET: is not set/);
});

test("in production without keys for the payloads nothing is accepted", async () => {
  const bridge = await startBridge({ worker: false, functions: { NODE_ENV: "production" } });
  expect(await bridge.post("/units/status", STATUS)).toMatchObject({ status: 500, body: { code: "internal" } });
});
