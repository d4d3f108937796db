import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { SetupError } from "./setup-error.ts";

const WITHIN_MS = 5 * 60_000;
const run = promisify(execFile);

/** Installs a distribution package as root; updates the package lists first if they are missing or outdated. */
export async function aptInstall(name: string): Promise<void> {
  const install = ["install", "-y", "--no-install-recommends", name];
  try {
    await apt(install);
  } catch {
    try {
      await apt(["update"]);
      await apt(install);
    } catch (error) {
      throw new SetupError(
        `Installing ${name} with apt-get failed:\n${lastLines(error)}`,
        `Try by hand: apt-get update && apt-get install -y ${name}\nOr set REDIS_URL to a running Redis.`,
        { cause: error },
      );
    }
  }
}

const apt = (args: string[]) =>
  run("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=120", ...args], {
    timeout: WITHIN_MS,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });

function lastLines(error: unknown): string {
  const said = error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
  return said.trim().split("\n").slice(-10).join("\n");
}
