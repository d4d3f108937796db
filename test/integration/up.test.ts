import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { describe, expect, it, onTestFinished } from "vitest";
import { commandLineOf } from "../../tools/support/leftover.ts";
import type { RunFile } from "../../tools/support/run-file.ts";
import { freePort } from "../../tools/setup/free-port.ts";
import { runScript } from "../../tools/setup/run-script.ts";
import { startRedis } from "../../tools/setup/redis.ts";

const START_MS = 40_000;
const TEST_MS = 60_000;

/** A folder and a port for an `up` of a test's own. What it leaves behind is ended with the test. */
async function demo() {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-up-"));
  const port = await freePort();
  const file = (): RunFile => JSON.parse(readFileSync(join(dir, "up.json"), "utf8")) as RunFile;
  const children = new Map<number, string>();
  const look = () => {
    if (existsSync(join(dir, "up.json"))) for (const { pid, command } of file().children) children.set(pid, command);
  };
  const left = () => [...children].filter(([pid, command]) => commandLineOf(pid)?.includes(command));
  onTestFinished(() => {
    for (const [pid] of left()) process.kill(pid, "SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    dir,
    port,
    file,
    /** Of all processes that it started, those that still run. */
    left,
    started: () => children.size,
    up(args: string[] = [], env: Record<string, string | undefined> = {}, stdin: "ignore" | "pipe" = "ignore") {
      const run = runScript(
        "tools/up/up.ts",
        ["--dir", dir, "--port", String(port), ...args],
        {
          REDIS_URL: undefined,
          REDIS_PREFIX: undefined,
          ...env,
        },
        stdin,
      );
      const looking = setInterval(look, 5);
      void run.ended.then(() => clearInterval(looking));
      onTestFinished(() => void run.child.kill("SIGTERM"));
      return run;
    },
  };
}
const steps = (output: string, how: string) =>
  output.split("\n").filter((line) => new RegExp(String.raw`^\d+ .* ${how} `).test(line)).length;

/** What each step brought back: its event, where units and incidents are known to be as it left them, and who heard of it. */
const cameBack = (output: string) =>
  output.split("\n").flatMap((line) => {
    const [, event = "", services = ""] = /^\d+ .* \| (\S+:\S+) +known *(.*)$/.exec(line) ?? [];
    return event === "" ? [] : [services === "" ? event : `${event} > ${services}`];
  });

describe("npm run up", { timeout: TEST_MS }, () => {
  it("--once plays ten steps, each confirmed and come back from the CAD, ends with 0 and leaves no process", async () => {
    const { up, started, left, dir } = await demo();
    const run = up(["--once"]);
    const { code, output } = await run.ended;
    expect(output).toMatch(/10 of 10 steps done/);
    expect(steps(output, "confirmed")).toBe(10);
    expect(cameBack(output)).toEqual([
      "incident:new > epcr",
      "assignment:received",
      "unit:status:updated",
      "unit:location:updated",
      "incident:timestamp:updated > epcr",
      ...Array.from({ length: 3 }, () => "unit:status:updated"),
      "transport:completed > billing, epcr",
      "unit:status:updated",
    ]);
    // The services say it themselves, and refused nothing.
    const heard = readFileSync(join(dir, "logs", "services.log"), "utf8")
      .trim()
      .split("\n");
    expect(heard.map((line) => line.replace(/ +incident:INC-\S+ +/, " ")).toSorted()).toEqual([
      "billing  transport:completed signature valid",
      "epcr  incident:new signature valid",
      "epcr  incident:timestamp:updated signature valid",
      "epcr  transport:completed signature valid",
    ]);
    expect(code).toBe(0);
    expect([started(), left()]).toEqual([5, []]);
    expect(() => statSync(join(dir, "up.json"))).toThrow(/ENOENT/);
  });

  it("--once with a CAD that never acks takes received for the step that it does not broadcast, and says so", async () => {
    const { up } = await demo();
    const { code, output } = await up(["--once", "--cad", "legacy"]).ended;
    expect([steps(output, "confirmed"), steps(output, String.raw`received \*`)]).toEqual([9, 1]);
    expect(cameBack(output)).toHaveLength(10);
    expect(output).toMatch(/neither acks nor broadcasts[^]*the bridge reports it to the services itself/);
    expect(code).toBe(0);
  });

  it("stays until it is told to stop, with docs, tokens and a curl that works, and leaves no process", async () => {
    const { up, left, file, dir } = await demo();
    const run = up();
    await expect.poll(run.output, { timeout: START_MS }).toContain("Everything is running");
    expect(statSync(join(dir, "up.json")).mode & 0o777).toBe(0o600);

    const docs = /API docs: +(\S+)/.exec(run.output())?.[1] ?? "";
    expect((await fetch(docs)).status).toBe(200);
    for (const token of Object.values(file().ready?.tokens ?? {})) expect(run.output()).toContain(token);
    const curl = /curl -sS[^]*?\}'/.exec(run.output())?.[0] ?? "";
    const pasted = spawnSync("sh", ["-c", curl], { encoding: "utf8" });
    if (spawnSync("curl", ["--version"]).error) console.log("curl is not installed: what it prints was not checked");
    else expect(JSON.parse(pasted.stdout)).toMatchObject({ status: "confirmed", unit_id: "M12" });

    const curls = run.output().match(/^ +curl -sS '?http[^\\\n]*$/gm) ?? [];
    expect(curls.length).toBeGreaterThanOrEqual(5);
    for (const command of curls) {
      if (spawnSync("curl", ["--version"]).error) break;
      const shown = spawnSync("sh", ["-c", `${command} -w '%{http_code}' -o /dev/null`], { encoding: "utf8" });
      expect([command, shown.stdout]).toEqual([command, "200"]);
    }

    const second = await up().ended;
    expect(second.output).toMatch(/is running already \(process \d+\)[^]*kill \d+/);
    expect(second.code).toBe(1);

    run.child.kill("SIGINT");
    const { code, output } = await run.ended;
    expect(output).toMatch(/Stopped\. No process is left\.\n$/);
    expect(code).toBe(0);
    expect(left()).toEqual([]);
  });

  it("freezes, stops and starts its parts as it is told, shows the fault, and leaves no process", async () => {
    const { up, left, file } = await demo();
    const run = up(["--controls"], {}, "pipe");
    await expect.poll(run.output, { timeout: START_MS }).toContain("Type help");
    const { url = "" } = file().ready ?? {};
    expect(run.output()).toContain(`Admin page: ${url}/admin`);
    expect((await fetch(`${url}/admin`)).status).toBe(200);
    const type = async (line: string, says: string) => {
      run.child.stdin?.write(`${line}\n`);
      await expect.poll(run.output, { timeout: 15_000 }).toContain(says);
    };
    const codes = async () => {
      const health = (await (await fetch(`${url}/health`)).json()) as { problems: { code: string }[] };
      return health.problems.map(({ code }) => code);
    };
    await type("help", "Parts: redis, simulator, functions, services, worker");
    await type("freeze everything", "freeze what?");
    await type("stop cad", "simulator: stopped");
    await expect.poll(codes, { timeout: 15_000 }).toContain("cad-disconnected");
    await type("start cad", "simulator: running");
    await expect.poll(codes, { timeout: 15_000 }).toEqual([]);
    await type("freeze worker", "worker: frozen");
    await type("status", "  worker     frozen");
    await type("kill services", "services: stopped");
    run.child.kill("SIGINT");
    const { code, output } = await run.ended;
    expect(output).toMatch(/Stopped\. No process is left\.\n$/);
    expect(code).toBe(0);
    expect(left()).toEqual([]);
  });

  it("says which process died, stops the rest, and ends with 1", async () => {
    const { up, left, file } = await demo();
    const run = up();
    await expect.poll(run.output, { timeout: START_MS }).toContain("Everything is running");
    process.kill(file().children.find(({ name }) => name === "worker")?.pid ?? 0, "SIGKILL");
    const { code, output } = await run.ended;
    expect(output).toMatch(/worker exited unexpectedly \(signal SIGKILL\)/);
    expect(code).toBe(1);
    expect(left()).toEqual([]);
  });

  it("ends what a killed one has left behind", async () => {
    const { up, started, left } = await demo();
    const killed = up();
    await expect.poll(started, { timeout: START_MS }).toBe(5);
    killed.child.kill("SIGKILL");
    await killed.ended;
    expect(left()).toHaveLength(5);
    const next = up(["--once"]);
    const { code, output } = await next.ended;
    expect(output.match(/left behind by an earlier run/g)).toHaveLength(5);
    expect(code).toBe(0);
    expect(left()).toEqual([]);
  });

  it("stops while it starts, and leaves no process", async () => {
    const { up, left, started } = await demo();
    const run = up();
    await expect.poll(started, { timeout: START_MS, interval: 5 }).toBeGreaterThan(0);
    run.child.kill("SIGTERM");
    expect((await run.ended).output).toMatch(/Stopped while starting/);
    await expect.poll(left).toEqual([]);
  });

  it("uses the Redis of REDIS_URL, and leaves nothing in it", async () => {
    const { up, dir } = await demo();
    const redis = await startRedis({ dir: join(dir, "given") });
    onTestFinished(() => redis.stop());
    const { code, output } = await up(["--once"], { REDIS_URL: redis.url }).ended;
    expect(output).toContain(`Using the Redis of REDIS_URL: ${redis.url}`);
    expect(code).toBe(0);
    const client = new Redis(redis.url);
    expect(await client.keys("*")).toEqual([]);
    client.disconnect();
  });

  it("says what to do when the port is taken", async () => {
    const { up, port } = await demo();
    const server = createServer();
    onTestFinished(() => void server.close());
    await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
    const { code, output } = await up(["--once"]).ended;
    expect(output).toContain(`Port ${port} is in use`);
    expect(output).toContain(`npm run up -- --port ${port + 1}`);
    expect(code).toBe(1);
  });

  it("says which process could not start, and why", async () => {
    const { up, left } = await demo();
    const { code, output } = await up(["--once"], { CAD_CONFIRM: "nonsense" }).ended;
    expect(output).toMatch(/worker ended at once \(exit code 78\)[^]*CAD_CONFIRM/);
    expect(code).toBe(1);
    expect(left()).toEqual([]);
  });
});
