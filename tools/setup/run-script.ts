import { spawn, type ChildProcess } from "node:child_process";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");

export interface ScriptRun {
  child: ChildProcess;
  /** Its output so far, including errors. */
  output(): string;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; output: string }>;
}

/** Runs one of this project's scripts as a user would and captures its output. For tests of command lines. */
export function runScript(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
  stdin: "ignore" | "pipe" = "ignore",
): ScriptRun {
  const child = spawn(process.execPath, [join(ROOT, script), ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: [stdin, "pipe", "pipe"],
  });
  let printed = "";
  const keep = (data: Buffer) => void (printed += data.toString());
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  const ended = new Promise<Awaited<ScriptRun["ended"]>>((done) => {
    child.on("close", (code, signal) => done({ code, signal, output: printed }));
  });
  return { child, output: () => printed, ended };
}
