import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { runScript } from "../../tools/setup/run-script.ts";
import { freePort } from "../../tools/setup/free-port.ts";
import { type OwnRedis, startRedis } from "../../tools/setup/redis.ts";
import { startProcess } from "../../tools/setup/process.ts";
import { CAD_TOKEN, startBridge } from "../support/bridge.ts";
import { writeRoutes } from "../support/destinations.ts";
import { newSecret } from "../../tools/support/receiver.ts";
import { ownRedis } from "../support/own-redis.ts";
import { freshPrefix } from "../support/redis.ts";

vi.setConfig({ testTimeout: 60_000 });

/** A CAD as the doctor finds it: another process. */
async function startCadProcess() {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-doctor-"));
  const port = await freePort();
  const cad = await startProcess({
    name: "simulator",
    script: "tools/simulator/main.ts",
    output: join(dir, "simulator.log"),
    env: { SIMULATOR_PORT: String(port), SIMULATOR_TOKEN: CAD_TOKEN },
    readyWhen: async () => (await fetch(`http://127.0.0.1:${port}/simulator/health`)).ok,
  });
  onTestFinished(async () => {
    await cad.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return `http://127.0.0.1:${port}`;
}

const PAYLOAD_KEYS = `a:${Buffer.alloc(32, 1).toString("base64")}`;

async function runDoctor(env: Record<string, string>) {
  const base = {
    REDIS_PREFIX: freshPrefix(),
    CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN,
    PAYLOAD_KEYS,
  };
  const from = performance.now();
  const { ended } = runScript("tools/doctor/doctor.ts", [], { ...base, ...env });
  const { code, output } = await ended;
  return { code, output, ms: performance.now() - from };
}

test("distinguishes a healthy bridge from one without a worker", async () => {
  const cad = await startCadProcess();
  const bridge = await startBridge({ worker: false });
  await bridge.startWorker({ CAD_BACKEND_URL: cad, PAYLOAD_KEYS });
  await bridge.healthy();
  const redis = { REDIS_URL: inject("redisUrl"), CAD_BACKEND_URL: cad };
  const healthy = await runDoctor({ ...redis, REDIS_PREFIX: bridge.prefix });
  expect(healthy.output).toContain("the CAD accepts the token and answers");
  expect(healthy.output).toMatch(/the clock of the CAD is \d+ ms/);
  expect(healthy.output).toContain('sealed with the key "a"');
  expect(healthy.output).not.toContain("WRONG");
  expect(healthy.code).toBe(0);

  const unsealed = await runDoctor({ ...redis, REDIS_PREFIX: bridge.prefix, PAYLOAD_KEYS: "" });
  expect(unsealed).toMatchObject({ code: 1, output: expect.stringContaining("WRONG  payloads-unsealed") });

  const alone = await runDoctor(redis);
  expect(alone).toMatchObject({ code: 1, output: expect.stringContaining("WRONG  worker-missing") });
});

test("reports an unsafe Redis configuration with hints; the worker warns of the same at its start", async () => {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-doctor-"));
  const config = { "maxmemory-policy": "allkeys-lru", maxmemory: "900kb" };
  const unsafe = await startRedis({ dir, appendonly: false, config });
  onTestFinished(async () => {
    await unsafe.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const cad = await startCadProcess();
  const { code, output } = await runDoctor({ REDIS_URL: unsafe.url, CAD_BACKEND_URL: cad });
  expect(code).toBe(1);
  for (const problem of ["redis-not-durable", "redis-evicts", "redis-memory-short"])
    expect(output).toContain(`WRONG  ${problem}`);

  const bridge = await startBridge({ redisUrl: unsafe.url, worker: false });
  await bridge.startWorker();
  await expect
    .poll(() => bridge.logs.filter((l) => l.message.startsWith("Redis is not configured safely")).length)
    .toBe(3);
});

test("reports what does not answer and which token is refused, without revealing secrets", async () => {
  const cad = await startCadProcess();
  const away = await runDoctor({ REDIS_URL: "redis://user:canary@127.0.0.1:9", CAD_BACKEND_URL: "http://127.0.0.1:9" });
  expect(away.code).toBe(1);
  expect(away.output).toContain("WRONG  redis-unavailable");
  expect(away.output).toMatch(/WRONG  cad-disconnected: .*http:\/\/127\.0\.0\.1:9: /);
  const refused = await runDoctor({
    REDIS_URL: inject("redisUrl"),
    CAD_BACKEND_URL: cad,
    CAD_BACKEND_AUTH_TOKEN: "canary",
  });
  expect(refused.output).toContain("Authentication failed");
  const inUrl = await runDoctor({
    REDIS_URL: inject("redisUrl"),
    CAD_BACKEND_URL: cad.replace("//", "//user:canary@"),
  });
  expect(inUrl).toMatchObject({
    code: 78,
    output: expect.stringContaining("CAD_BACKEND_URL: must not contain user or"),
  });
  const said = [away, refused, inUrl].map(({ output }) => output).join("");
  expect(said).not.toContain("canary");
});

test("reports unreachable destinations and invalid routes, without revealing secrets", async () => {
  const cad = await startCadProcess();
  const secret = newSecret();
  const destinations = [
    { id: "there", url: `${cad}/services/canary/hook?token=canary`, secret },
    { id: "away", url: "http://127.0.0.1:9/hook", secret },
  ];
  const base = { REDIS_URL: inject("redisUrl"), CAD_BACKEND_URL: cad };
  const ROUTES_FILE = writeRoutes({ destinations, rules: [] });
  const looked = await runDoctor({ ...base, ROUTES_FILE, ALLOW_PRIVATE_DESTINATIONS: "true" });
  expect(looked.output).toMatch(/ok {5}the destination there at http:\/\/127\.0\.0\.1:\d+ answers/);
  expect(looked.output).toMatch(/WRONG {2}destination-unreachable: The destination away .*\(ECONNREFUSED\)/);
  expect(looked.output).not.toMatch(/canary|whsec_/);
  const refused = await runDoctor({ ...base, ROUTES_FILE });
  expect(refused).toMatchObject({ code: 78, output: expect.stringContaining("destinations[0].url: must be https://") });
});

const TROUBLES: readonly [string, string, (redis: OwnRedis, admin: Redis) => Promise<unknown>][] = [
  ["wants a password", "redis-refused", (_redis, admin) => admin.config("SET", "requirepass", "canary")],
  [
    "refuses commands",
    "redis-refused",
    (_redis, admin) => admin.call("ACL", "SETUSER", "default", "resetpass", "nopass", "-@all", "+ping", "+hello"),
  ],
  ["is frozen", "redis-unavailable", async (redis) => redis.process.kill("SIGSTOP")],
  ["is away", "redis-unavailable", (redis) => redis.stop()],
];

test.each(TROUBLES)("lists what it finds within 15 s while Redis %s", async (_how, code, make) => {
  const [cad, redis] = await Promise.all([startCadProcess(), ownRedis()]);
  const admin = new Redis(redis.url);
  await make(redis, admin);
  admin.disconnect();
  const destinations = [{ id: "there", url: `${cad}/services/hook`, secret: newSecret() }];
  const env = { REDIS_URL: redis.url, CAD_BACKEND_URL: cad, ALLOW_PRIVATE_DESTINATIONS: "true" };
  const runs = [{}, { ROUTES_FILE: writeRoutes({ destinations, rules: [] }) }].map((more) =>
    runDoctor({ ...env, ...more }),
  );
  for (const { code: exit, output, ms } of await Promise.all(runs)) {
    expect(output.match(/^WRONG {2}\S+/gm)).toEqual([`WRONG  ${code}:`]);
    expect(output).toContain("the CAD accepts the token");
    expect(output).not.toMatch(/^ +at |canary/m);
    expect(exit).toBe(1);
    expect(ms).toBeLessThan(15_000);
  }
});
