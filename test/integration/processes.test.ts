import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { type RunningProcess, startProcess } from "../../tools/setup/process.ts";
import { CAD_TOKEN, JWT_SECRET, startBridge } from "../support/bridge.ts";
import { until } from "../../tools/support/until.ts";

const PROGRAMS = {
  functions: { script: "functions/hosts/node.ts", env: { PORT: "0", JWT_SECRET } },
  worker: {
    script: "worker/main.ts",
    env: { CAD_BACKEND_URL: "http://127.0.0.1:9", CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN, WORKER_PORT: "0" },
  },
} as const;
type Name = keyof typeof PROGRAMS;

/** Runs a program that is expected to end by itself. */
function run(name: Name, env: Record<string, string>, args: string[] = []) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAMS[name].script, ...args], {
    env: { PATH: process.env["PATH"] ?? "", ...env },
    encoding: "utf8",
    timeout: 15_000,
  });
  return { code: status, stdout, stderr };
}

async function start(name: Name, env: Record<string, string> = {}): Promise<RunningProcess> {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-test-"));
  const output = join(dir, `${name}.log`);
  const started = await startProcess({
    name,
    script: PROGRAMS[name].script,
    output,
    env: { REDIS_URL: inject("redisUrl"), LOG_FILE: undefined, ...PROGRAMS[name].env, ...env },
    readyWhen: async () => readFileSync(output, "utf8").includes("started"),
  });
  onTestFinished(async () => {
    await started.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return started;
}

describe.each(Object.keys(PROGRAMS) as Name[])("%s", (name) => {
  test("--help describes the program and lists every variable", () => {
    const { code, stdout } = run(name, {}, ["--help"]);
    expect(code).toBe(0);
    for (const variable of ["REDIS_URL", "LOG_FILE", ...Object.keys(PROGRAMS[name].env)])
      expect(stdout).toContain(variable);
  });

  test("in production it does not start without keys for the payloads, with exit code 78", () => {
    const { code, stderr } = run(name, {
      REDIS_URL: inject("redisUrl"),
      ...PROGRAMS[name].env,
      NODE_ENV: "production",
    });
    expect(code).toBe(78);
    expect(stderr).toContain("PAYLOAD_KEYS: is not set");
  });

  test("every wrong or missing variable is listed in one message, without its value, with exit code 78", () => {
    const wrong = {
      LOG_LEVEL: "canary-1",
      JWT_SECRET: "canary-2",
      CAD_BACKEND_URL: "canary-3",
      CAD_BACKEND_AUTH_TOKEN: "  ",
    };
    const { code, stderr, stdout } = run(name, wrong);
    expect(code).toBe(78);
    const expected =
      name === "functions"
        ? ["JWT_SECRET: must have at least 32"]
        : ["CAD_BACKEND_URL: must be", "CAD_BACKEND_AUTH_TOKEN: must not be empty"];
    for (const line of ["REDIS_URL: is not set", "LOG_LEVEL: ", ...expected]) expect(stderr).toContain(line);
    expect(stdout + stderr).not.toContain("canary");
  });

  test("takes every secret from a file as well, and tells a file that cannot be read with exit code 78", async () => {
    const dir = mkdtempSync(join(tmpdir(), "socket-bridge-secrets-"));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const secrets = { REDIS_URL: inject("redisUrl"), JWT_SECRET, CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN };
    const inFiles = Object.fromEntries(
      Object.entries(secrets).flatMap(([secret, value]) => {
        writeFileSync(join(dir, secret), `${value}\n`);
        return [
          [secret, ""],
          [`${secret}_FILE`, join(dir, secret)],
        ];
      }),
    );
    const started = await start(name, inFiles);
    expect(started.running).toBe(true);
    rmSync(join(dir, "REDIS_URL"));
    const { code, stderr } = run(name, { ...PROGRAMS[name].env, ...inFiles });
    expect(code).toBe(78);
    expect(stderr).toContain("REDIS_URL_FILE: the file that it names cannot be read (ENOENT)");
    expect(stderr).not.toContain(dir);
  });

  test("ends with exit code 0 within 10 s of a SIGTERM", async () => {
    const started = await start(name);
    const asked = performance.now();
    started.kill("SIGTERM");
    expect(await started.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - asked).toBeLessThan(10_000);
  });

  test("ends with exit code 0 within 10 s of a SIGTERM while Redis is away", async () => {
    const started = await start(name, { REDIS_URL: "redis://127.0.0.1:9" });
    const asked = performance.now();
    started.kill("SIGTERM");
    expect(await started.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - asked).toBeLessThan(10_000);
  });

  test("writes its log to LOG_FILE as well", async () => {
    const dir = mkdtempSync(join(tmpdir(), "socket-bridge-log-"));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const file = join(dir, "deep", "log.json");
    const started = await start(name, { LOG_FILE: file });
    started.kill("SIGTERM");
    await started.exited;
    const text = readFileSync(file, "utf8");
    expect(readFileSync(started.output, "utf8")).toBe(text);
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { time: string; msg: string });
    const times = lines.map(({ time }) => time);
    expect(times).toEqual(times.toSorted());
    const messages = lines.map(({ msg }) => msg);
    expect(messages.indexOf("stopping")).toBeGreaterThan(messages.findIndex((msg) => msg.includes("started")));
    // The first may be a warning that payloads are not encrypted.
    for (const line of lines)
      expect(line).toMatchObject({
        level: expect.stringMatching(/^(info|warn)$/),
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        name,
      });
  });

  test("after its LOG_FILE was moved away and SIGHUP, writes into a new one; pretty lines are for people", async () => {
    const dir = mkdtempSync(join(tmpdir(), "socket-bridge-log-"));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const file = join(dir, "log.json");
    const started = await start(name, { LOG_FILE: file, LOG_FORMAT: "pretty" });
    await until("the first lines are there", () => existsSync(file) && readFileSync(file, "utf8").includes("started"));
    renameSync(file, `${file}.1`);
    started.kill("SIGHUP");
    await until("a new file is there", () => existsSync(file) && readFileSync(file, "utf8").includes("SIGHUP"));
    expect(started.running).toBe(true);
    started.kill("SIGTERM");
    expect(await started.exited).toEqual({ code: 0, signal: null });
    expect(readFileSync(started.output, "utf8")).toMatch(new RegExp(`^\\d{4}-\\S+Z INFO  ${name}: .* started`, "m"));
  });
});

test("a port in use is reported with exit code 1", async () => {
  const bridge = await startBridge({ worker: false });
  const env = { REDIS_URL: inject("redisUrl"), ...PROGRAMS.functions.env, PORT: new URL(bridge.url).port };
  const { code, stdout } = run("functions", env);
  expect(code).toBe(1);
  expect(stdout).toContain("the port is in use");
});

test("after a kill -9 of the owner a standby takes over within 5 s, and nothing is lost or overtaken", async () => {
  const bridge = await startBridge({ cad: { character: "modern" }, worker: false });
  const env = { REDIS_PREFIX: bridge.prefix, CAD_BACKEND_URL: bridge.cad.url };
  const owner = await start("worker", env);
  await bridge.healthy();
  await bridge.startWorker();
  const ids: unknown[] = [];
  const accept = async (count: number) => {
    for (let i = 0; i < count; i += 1) {
      ids.push((await bridge.post("/units/status", { unit_id: `u${i % 10}`, status: "enroute" })).body["command_id"]);
    }
  };
  await accept(50);
  await until("some have arrived", () => bridge.cad.ledger.summary().received > 10);
  owner.kill("SIGKILL");
  const killed = performance.now();
  const seen = bridge.cad.ledger.summary().commands;
  await accept(50);
  await until("the standby delivers", () => bridge.cad.ledger.summary().commands > seen + 10, 5000);
  expect(performance.now() - killed).toBeLessThan(5000);
  for (const id of ids) expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
  expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 100, violations: 0, lateRepeats: 0 });
});

test("a worker that is started again under its own name takes its CAD back at once", async () => {
  const bridge = await startBridge({ cad: { character: "modern" }, worker: false });
  const env = { REDIS_PREFIX: bridge.prefix, CAD_BACKEND_URL: bridge.cad.url, WORKER_INSTANCE: "worker-a" };
  const first = await start("worker", env);
  await bridge.healthy();
  first.kill("SIGKILL");
  await first.exited;
  const { body } = await bridge.post("/units/status", { unit_id: "1", status: "enroute" });
  const second = await start("worker", env);
  const started = performance.now();
  expect(await bridge.settled(body["command_id"])).toMatchObject({ status: "confirmed", sends: 1 });
  expect(performance.now() - started).toBeLessThan(1000);
  expect(second.running).toBe(true);
});
