import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it, onTestFinished } from "vitest";
import { commandLineOf } from "../../tools/support/leftover.ts";
import { freePort, isFree, onSomePort } from "../../tools/setup/free-port.ts";
import { startProcess, startProgram, type RunningProcess, type StartOptions } from "../../tools/setup/process.ts";
import { tailOf } from "../../tools/setup/tail.ts";

const dir = mkdtempSync(join(tmpdir(), "socket-bridge-process-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const started: RunningProcess[] = [];
afterEach(async () => {
  for (const process of started.splice(0)) {
    process.kill("SIGKILL");
    await process.exited;
  }
});

let scripts = 0;
/** Starts a script with that text. */
async function start(text: string, options: Partial<StartOptions> = {}): Promise<RunningProcess> {
  const script = join(dir, `script-${(scripts += 1)}.ts`);
  writeFileSync(script, text);
  const process = await startProcess({ name: "example", script, output: `${script}.log`, ...options });
  started.push(process);
  return process;
}

describe("a process", () => {
  it("is ready when its check passes, runs under this Node, and its output is kept", async () => {
    const output = join(dir, "ready.log");
    const running = await start(
      'console.log("node", process.version, process.env["WORD"]); setInterval(() => {}, 1000)',
      {
        output,
        env: { WORD: "hello" },
        readyWhen: async () => tailOf(output).includes("hello"),
      },
    );
    expect(running.running).toBe(true);
    expect(running.tail()).toBe(`node ${process.version} hello`);
  });

  it("that exits before it is ready is reported with its output", async () => {
    const starting = start('console.error("no such thing"); process.exit(3)', { readyWhen: async () => false });
    await expect(starting).rejects.toThrow(/example ended at once \(exit code 3\)\.\nno such thing/);
  });

  it("that does not become ready in time is reported and killed", async () => {
    let pid = 0;
    const starting = start("setInterval(() => {}, 1000)", {
      readyWithinMs: 200,
      readyWhen: async (asked) => {
        pid = asked.pid;
        throw new Error("not yet");
      },
    });
    await expect(starting).rejects.toThrow("example was not ready within 0.2 s");
    expect(commandLineOf(pid)).toBeUndefined();
  });

  it("that does not exist is reported", async () => {
    const starting = startProgram({ name: "nobody", command: join(dir, "nothing"), output: join(dir, "nobody.log") });
    await expect(starting).rejects.toThrow(/nobody could not be started/);
  });

  it("stops on SIGTERM, and stopping again is harmless", async () => {
    const ready = join(dir, "stop.log");
    const process = await start(
      'process.on("SIGTERM", () => process.exit(0)); console.log("up"); setInterval(() => {}, 1000)',
      {
        output: ready,
        readyWhen: async () => tailOf(ready).includes("up"),
      },
    );
    expect(await Promise.all([process.stop(), process.stop()])).toEqual([
      { code: 0, signal: null },
      { code: 0, signal: null },
    ]);
    expect(await process.stop()).toEqual({ code: 0, signal: null });
    expect(process.running).toBe(false);
  });

  it("that does not heed SIGTERM is killed after a while", async () => {
    const ready = join(dir, "stubborn.log");
    const process = await start('process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)', {
      output: ready,
      readyWhen: async () => tailOf(ready).includes("up"),
      stopWithinMs: 100,
    });
    expect(await process.stop()).toEqual({ code: null, signal: "SIGKILL" });
  });

  it("does not outlive the one that started it, if that dies of an exception", async () => {
    const module = join(import.meta.dirname, "../../tools/setup/process.ts");
    const output = join(dir, "orphan.log");
    const parent = await start(`
      import { startProgram } from ${JSON.stringify(module)};
      const child = await startProgram({ name: "child", command: "sleep", args: ["600"], output: ${JSON.stringify(output)} });
      console.log("child", child.pid);
      throw new Error("boom");
    `);
    expect((await parent.exited).code).toBe(1);
    const pid = Number(/child (\d+)/.exec(readFileSync(parent.output, "utf8"))?.[1]);
    expect(pid).toBeGreaterThan(0);
    await expect.poll(() => commandLineOf(pid)).toBeUndefined();
  });
});

it("tails a file by lines, however long it is", () => {
  const file = join(dir, "long.log");
  writeFileSync(file, Array.from({ length: 100_000 }, (_, i) => `line ${i}`).join("\n"));
  expect(tailOf(file, 2)).toBe("line 99998\nline 99999");
  expect(tailOf(join(dir, "nothing.log"))).toMatch(/nothing in/);
});

it("reports whether a port is free", async () => {
  const port = await freePort();
  expect(await isFree(port)).toBe(true);
  const server = createServer();
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  expect(await isFree(port)).toBe(false);
});

it("goes on to another port when one is lost to somebody else, and gives up on any other failure", async () => {
  const preferred = await freePort();
  const tried: number[] = [];
  const port = await onSomePort(preferred, async (wanted) => {
    tried.push(wanted);
    if (tried.length === 1) throw new Error(`port ${wanted} is taken`);
    return wanted;
  });
  expect(tried).toEqual([preferred, port]);
  const failing = onSomePort(preferred, () => Promise.reject(new Error("something else")));
  await expect(failing).rejects.toThrow("something else");
});
