import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, onTestFinished, test } from "vitest";
import { freePort } from "../../tools/setup/free-port.ts";
import { startRedis } from "../../tools/setup/redis.ts";
import { startProcess } from "../../tools/setup/process.ts";
import { CAD_TOKEN, startBridge } from "../support/bridge.ts";
import { writeRoutes } from "../support/destinations.ts";
import { newSecret } from "../../tools/support/receiver.ts";
import { freshPrefix } from "../support/redis.ts";

/** Not in this process: the doctor is waited for in one go, while the CAD must answer it. */
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

function runDoctor(env: Record<string, string>) {
  const base = {
    PATH: process.env["PATH"] ?? "",
    REDIS_PREFIX: freshPrefix(),
    CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN,
    PAYLOAD_KEYS,
  };
  const options = { env: { ...base, ...env }, encoding: "utf8", timeout: 30_000 } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["tools/doctor/doctor.ts"], options);
  return { code: status, stdout, stderr };
}

test("tells a healthy bridge from one without a worker", async () => {
  const cad = await startCadProcess();
  const bridge = await startBridge({ worker: false });
  await bridge.startWorker({ CAD_BACKEND_URL: cad });
  await bridge.healthy();
  const redis = { REDIS_URL: inject("redisUrl"), CAD_BACKEND_URL: cad };
  const healthy = runDoctor({ ...redis, REDIS_PREFIX: bridge.prefix });
  expect(healthy.stdout).toContain("the CAD accepts the token, and answers");
  expect(healthy.stdout).toMatch(/the clock of the CAD is \d+ ms/);
  expect(healthy.stdout).toContain('sealed with the key "a"');
  expect(healthy.stdout).toContain("All is well.");
  expect(healthy.code).toBe(0);

  const unsealed = runDoctor({ ...redis, REDIS_PREFIX: bridge.prefix, PAYLOAD_KEYS: "" });
  expect(unsealed).toMatchObject({ code: 1, stdout: expect.stringContaining("WRONG  payloads-unsealed") });

  const alone = runDoctor(redis);
  expect(alone).toMatchObject({ code: 1, stdout: expect.stringContaining("WRONG  worker-missing") });
});

test("says what is unsafe about a Redis, and how to fix it; the worker warns of the same at its start", async () => {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-doctor-"));
  const config = { "maxmemory-policy": "allkeys-lru", maxmemory: "900kb" };
  const unsafe = await startRedis({ dir, appendonly: false, config });
  onTestFinished(async () => {
    await unsafe.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const cad = await startCadProcess();
  const { code, stdout } = runDoctor({ REDIS_URL: unsafe.url, CAD_BACKEND_URL: cad });
  expect(code).toBe(1);
  for (const code of ["redis-not-durable", "redis-evicts", "redis-memory-short"])
    expect(stdout).toContain(`WRONG  ${code}`);

  const bridge = await startBridge({ redisUrl: unsafe.url, worker: false });
  await bridge.startWorker();
  await expect.poll(() => bridge.logs.filter((l) => l.message.startsWith("redis is not safe")).length).toBe(3);
});

test("says what does not answer, and which token is refused, without telling either secret", async () => {
  const cad = await startCadProcess();
  const away = runDoctor({ REDIS_URL: "redis://user:canary@127.0.0.1:9", CAD_BACKEND_URL: "http://127.0.0.1:9" });
  expect(away.code).toBe(1);
  expect(away.stdout).toContain("WRONG  redis-unavailable");
  expect(away.stdout).toMatch(/WRONG  cad-disconnected: .*http:\/\/127\.0\.0\.1:9 /);
  const refused = runDoctor({
    REDIS_URL: inject("redisUrl"),
    CAD_BACKEND_URL: cad,
    CAD_BACKEND_AUTH_TOKEN: "canary",
  });
  expect(refused.stdout).toContain("Authentication failed");
  const inUrl = runDoctor({ REDIS_URL: inject("redisUrl"), CAD_BACKEND_URL: cad.replace("//", "//user:canary@") });
  expect(inUrl).toMatchObject({ code: 78, stderr: expect.stringContaining("CAD_BACKEND_URL: must not hold user or") });
  const said = [away, refused, inUrl].map(({ stdout, stderr }) => stdout + stderr).join("");
  expect(said).not.toContain("canary");
});

test("says which destinations answer, and what is wrong with the routes, without telling a secret", async () => {
  const cad = await startCadProcess();
  const secret = newSecret();
  const destinations = [
    { id: "there", url: `${cad}/services/canary/hook?token=canary`, secret },
    { id: "away", url: "http://127.0.0.1:9/hook", secret },
  ];
  const base = { REDIS_URL: inject("redisUrl"), CAD_BACKEND_URL: cad };
  const ROUTES_FILE = writeRoutes({ destinations, rules: [] });
  const looked = runDoctor({ ...base, ROUTES_FILE, ALLOW_PRIVATE_DESTINATIONS: "true" });
  expect(looked.stdout).toMatch(/ok {5}the destination there at http:\/\/127\.0\.0\.1:\d+ answers/);
  expect(looked.stdout).toMatch(/WRONG {2}destination-unreachable: The destination away .*\(ECONNREFUSED\)/);
  expect(looked.stdout).not.toMatch(/canary|whsec_/);
  const refused = runDoctor({ ...base, ROUTES_FILE });
  expect(refused).toMatchObject({ code: 78, stderr: expect.stringContaining("destinations[0].url: must be https://") });
});
