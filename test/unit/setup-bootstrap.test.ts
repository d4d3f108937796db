import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, it, onTestFinished } from "vitest";

const SETUP = join(import.meta.dirname, "../../tools/setup");

/** A project of its own, with an npm that installs nothing but this Node, after as long as it is told to take. */
function project(npm: { fails?: string; seconds?: number } = {}) {
  const root = mkdtempSync(join(tmpdir(), "socket-bridge-bootstrap-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const file = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  for (const name of ["bootstrap.mjs", "install.mjs", "lock.mjs", "setup-error.mjs"]) {
    mkdirSync(join(root, "tools/setup"), { recursive: true });
    copyFileSync(join(SETUP, name), join(root, "tools/setup", name));
  }
  file("package-lock.json", "{}");
  file("package.json", '{ "type": "module" }');
  file(
    "bin/npm",
    `#!/bin/sh
echo "npm $*" >> "${root}/npm.log"
sleep ${npm.seconds ?? 0}
${npm.fails === undefined ? `rm -rf node_modules && mkdir -p node_modules/.bin && ln -s "${process.execPath}" node_modules/.bin/node` : `echo "npm error ${npm.fails}" >&2; exit 1`}
`,
  );
  chmodSync(join(root, "bin/npm"), 0o755);
  const { npm_execpath: _, ...env } = process.env;
  return {
    root,
    file,
    installs: () => readFileSync(join(root, "npm.log"), "utf8").trim().split("\n").length,
    run(script: string, args: string[] = [], path = `${join(root, "bin")}:${env["PATH"] ?? ""}`) {
      const child = spawn(process.execPath, ["tools/setup/bootstrap.mjs", script, ...args], {
        cwd: root,
        env: { ...env, PATH: path },
      });
      let output = "";
      child.stdout.on("data", (data) => (output += String(data)));
      child.stderr.on("data", (data) => (output += String(data)));
      const ended = new Promise<{ code: number | null; signal: string | null; output: string }>((resolve) =>
        child.on("close", (code, signal) => resolve({ code, signal, output })),
      );
      return { child, ended, output: () => output };
    },
  };
}

const lockFile = (version: string) => JSON.stringify({ packages: { "": {}, "node_modules/a": { version } } });

it.each([
  ["the same versions", "1.0.0", false],
  ["other versions", "0.9.0", true],
])("an installation made by npm with %s (%s) is installed anew: %s", async (_, version, installs) => {
  const { root, run, file } = project();
  file("package-lock.json", lockFile("1.0.0"));
  file("node_modules/.package-lock.json", lockFile(version));
  file("say.ts", "");
  expect((await run("say.ts").ended).code).toBe(0);
  expect(existsSync(join(root, "npm.log"))).toBe(installs);
});

it("installs once, runs the script with its arguments, and passes its exit code on", async () => {
  const { run, file, installs } = project();
  file(
    "say.ts",
    'const words: string[] = process.argv.slice(2); console.log("said", words.join(" ")); process.exit(7);',
  );
  const first = await run("say.ts", ["--a", "b c"]).ended;
  expect(first.output).toMatch(/Installing dependencies.*\n.*Installed dependencies in \d+ s\.\nsaid --a b c/);
  expect(first.code).toBe(7);
  expect((await run("say.ts").ended).output).toBe("said \n");
  expect(installs()).toBe(1);
  file("package-lock.json", '{ "changed": true }');
  await run("say.ts").ended;
  expect(installs()).toBe(2);
});

it("installs once when two start at the same time", async () => {
  const { run, file, installs } = project({ seconds: 0.5 });
  file("say.ts", 'console.log("ran");');
  const both = await Promise.all([run("say.ts").ended, run("say.ts").ended]);
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  expect(both.every(({ output }) => output.endsWith("ran\n"))).toBe(true);
  expect(installs()).toBe(1);
});

it("takes over the lock of a process that has died", async () => {
  const { run, file } = project();
  file("say.ts", 'console.log("ran");');
  const dead = spawn("true");
  await new Promise((resolve) => dead.on("exit", resolve));
  file(".run/install.lock", String(dead.pid));
  expect((await run("say.ts").ended).output).toMatch(/ran\n$/);
});

it.each([
  ["code ENOTFOUND", /cannot reach its registry/, /Check the network/],
  ["code ENOSPC", /disk is full/, /Free about/],
  ["something new", /npm ci failed/, /npm ci$/m],
])("says what is wrong and what to do when npm says %s", async (fails, what, hint) => {
  const { run } = project({ fails });
  const { code, output } = await run("say.ts").ended;
  expect(code).toBe(1);
  expect(output).toMatch(what);
  expect(output).toMatch(hint);
  expect(output).toContain(fails);
  expect(output).not.toMatch(/^\s+at /m);
});

it("says that npm is not installed", async () => {
  const { run, root } = project();
  const { code, output } = await run("say.ts", [], join(root, "nothing")).ended;
  expect(code).toBe(1);
  expect(output).toMatch(/npm is not installed\.[^]*apt-get install npm/);
});

it.each(["SIGINT", "SIGTERM"] as const)(
  "passes %s on once, however often it comes at a time, and waits for the end",
  async (signal) => {
    const { run, file } = project();
    file(
      "wait.ts",
      `let count = 0;
     process.on("${signal}", () => { count += 1; setTimeout(() => { console.log("times", count); process.exit(5); }, 100); });
     console.log("up"); setInterval(() => {}, 1000);`,
    );
    const { child, ended, output } = run("wait.ts");
    await expect.poll(output, { timeout: 10_000 }).toContain("up");
    child.kill(signal);
    child.kill(signal);
    expect(await ended).toMatchObject({ code: 5, output: expect.stringContaining("times 1\n") });
  },
);

it("dies of the signal that its script died of", async () => {
  const { run, file } = project();
  file("die.ts", 'process.kill(process.pid, "SIGKILL");');
  expect(await run("die.ts").ended).toMatchObject({ code: null, signal: "SIGKILL" });
});
