import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { onTestFinished } from "vitest";
import { type RunningProcess, startProgram } from "../../tools/setup/process.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** Whether this checkout has that commit: a shallow clone or an archive has no history. */
export function hasCommit(commit: string): boolean {
  try {
    execFileSync("git", ["cat-file", "-e", `${commit}^{commit}`], { cwd: ROOT, stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

export interface OldVersion {
  /** Starts one of its programs, and waits until its log says so. */
  start(script: string, env: Record<string, string>): Promise<RunningProcess>;
}

/** An earlier version of this project, from its history, with the packages that are installed for this one. */
export function checkOut(commit: string): OldVersion {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-old-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const archive = execFileSync("git", ["archive", commit], { cwd: ROOT, maxBuffer: 256 * 1024 * 1024 });
  execFileSync("tar", ["-x", "-C", dir], { input: archive });
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  return {
    async start(script, env) {
      const output = join(dir, `${script.replaceAll("/", "-")}.log`);
      const started = await startProgram({
        name: script,
        command: process.execPath,
        args: [join(dir, script)],
        output,
        env: { LOG_FILE: undefined, ...env },
        readyWhen: async () => readFileSync(output, "utf8").includes("started"),
      });
      onTestFinished(async () => void (await started.stop()));
      return started;
    },
  };
}
