import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const CHECK = join(ROOT, "tools/setup/check-node.cjs");
const refusal = createRequire(import.meta.url)(CHECK) as (version: string, script: string) => string | undefined;

test.each([
  ["v0.10.48", "/x/worker/main.ts", false],
  ["v20.19.5", "/x/worker/main.ts", false],
  ["v22.18.0", "/x/worker/main.ts", false],
  ["v22.19.0", "/x/worker/main.ts", true],
  ["v23.11.0", "/x/worker/main.ts", false],
  ["v24.0.0", "/x/worker/main.ts", true],
  ["v25.1.0", "/x/worker/main.ts", false],
  ["v26.0.0", "/x/worker/main.ts", true],
  ["v100.1.0", "/x/worker/main.ts", true],
  ["v18.20.8", "/x/tools/setup/bootstrap.mjs", false],
  ["v20.0.0", "/x/tools/setup/bootstrap.mjs", true],
])("Node %s can run %s: %s", (version, script, can) => {
  const said = refusal(version, script);
  if (can) expect(said).toBeUndefined();
  else expect(said).toMatch(new RegExp(`^This needs Node [^;]+; this is ${version}\\.\nInstall Node 24 from https://`));
});

test("a Node that is too old runs nothing of the script and prints what to do", () => {
  const folder = mkdtempSync(join(tmpdir(), "socket-bridge-node-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const age = join(folder, "age.cjs");
  writeFileSync(age, 'Object.defineProperty(process, "version", { value: "v18.20.8" });');
  const script = join(folder, "script.ts");
  writeFileSync(script, "console.log('ran');");
  const old = spawnSync(process.execPath, ["-r", age, "-r", CHECK, script], { encoding: "utf8" });
  expect(old).toMatchObject({ status: 1, stdout: "", stderr: expect.stringContaining("this is v18.20.8.\nInstall") });
  const fit = spawnSync(process.execPath, ["-r", CHECK, script], { encoding: "utf8" });
  expect(fit).toMatchObject({ status: 0, stdout: "ran\n" });
});

test("every npm script checks the version of Node first", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  expect(Object.keys(scripts).length).toBeGreaterThan(10);
  for (const command of Object.values(scripts))
    expect(command).toMatch(/^exec node -r \.\/tools\/setup\/check-node\.cjs /);
});

test("the check is written for a Node of any age", () => {
  const code = readFileSync(CHECK, "utf8").replaceAll(/\/\*[^]*?\*\/|"[^"\n]*"/g, "");
  expect(code).not.toMatch(/=>|`|\b(?:const|let|class|import|async)\b|\?\.|\?\?|\.\.\./);
});
