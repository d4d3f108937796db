import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { onPath } from "./redis-binary.ts";
import { SetupError } from "./setup-error.ts";

const run = promisify(execFile);
const WITHIN_MS = 120_000;
/** Where the package is unpacked: it is not installed, and no service is started. */
const DIR = resolve(import.meta.dirname, "../../.run/prometheus");

export interface Prometheus {
  prometheus: string;
  promtool: string;
}

const inFolder = (folder: string): Prometheus | undefined => {
  const found = { prometheus: join(folder, "prometheus"), promtool: join(folder, "promtool") };
  return existsSync(found.prometheus) && existsSync(found.promtool) ? found : undefined;
};

/** Prometheus and promtool: from PATH or Debian's package. Throws a SetupError if neither is available. */
export async function findPrometheus(): Promise<Prometheus> {
  const [prometheus, promtool] = [onPath(["prometheus"]), onPath(["promtool"])];
  if (prometheus && promtool) return { prometheus, promtool };
  const unpacked = join(DIR, "usr/bin");
  const before = inFolder(unpacked);
  if (before) return before;
  try {
    await unpack();
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    throw new SetupError(
      `prometheus and promtool are not on PATH, and apt-get could not fetch them: ${said.split("\n").at(-1) ?? ""}`,
      "Install Prometheus so that both are on PATH.",
      { cause: error },
    );
  }
  const now = inFolder(unpacked);
  if (!now) throw new SetupError("The package prometheus contains no prometheus and promtool.", "Put both on PATH.");
  return now;
}

async function unpack(): Promise<void> {
  mkdirSync(DIR, { recursive: true });
  const apt = (...args: string[]) => run("apt-get", ["-q", ...args], { cwd: DIR, timeout: WITHIN_MS });
  await apt("download", "prometheus").catch(async () => {
    await apt("-o", "DPkg::Lock::Timeout=60", "update");
    await apt("download", "prometheus");
  });
  const file = readdirSync(DIR).find((name) => name.endsWith(".deb"));
  if (file === undefined) throw new Error("apt-get downloaded no package");
  await run("dpkg-deb", ["-x", file, DIR], { cwd: DIR, timeout: WITHIN_MS });
}
