import { spawnSync } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { aptInstall } from "./apt.ts";
import { SetupError } from "./setup-error.ts";

/** BullMQ and the outbox's scripts need it (functions, Streams, LPOS, GETEX). */
export const OLDEST_REDIS = "7.0";
const NAMES = ["redis-server", "valkey-server"];

/** Install commands by the `ID` or `ID_LIKE` of /etc/os-release, or by the platform. */
const COMMANDS: Readonly<Record<string, string>> = {
  debian: "sudo apt-get update && sudo apt-get install -y redis-server",
  ubuntu: "sudo apt-get update && sudo apt-get install -y redis-server",
  fedora: "sudo dnf install -y redis",
  rhel: "sudo dnf install -y redis",
  alpine: "sudo apk add redis",
  arch: "sudo pacman -S --noconfirm valkey",
  suse: "sudo zypper install -y redis",
  darwin: "brew install redis",
};

export interface RedisBinary {
  path: string;
  version: string;
}

/**
 * The Redis or Valkey server of this machine; installed if missing on Debian or Ubuntu as root. Throws a SetupError with
 * the command to type if it is unavailable or too old.
 */
export async function findRedis(log: (line: string) => void, machine = thisMachine()): Promise<RedisBinary> {
  const { systems, isRoot } = machine;
  let path = onPath(NAMES);
  if (path === undefined && systems.some((id) => id === "debian" || id === "ubuntu") && isRoot) {
    log("No redis-server or valkey-server found: installing the distribution's package redis-server with apt-get ...");
    await aptInstall("redis-server");
    path = onPath(NAMES);
    log("Installed redis-server. (The package may start its own service on port 6379; it is not used here.)");
  }
  if (path === undefined) {
    const command = systems.map((id) => COMMANDS[id]).find((known) => known !== undefined);
    throw new SetupError(
      "Neither redis-server nor valkey-server is on PATH.",
      command === undefined
        ? `Install Redis ${OLDEST_REDIS} or newer, or set REDIS_URL to a running one.`
        : `Run: ${command}\nOr set REDIS_URL to a running Redis.`,
    );
  }
  const version = versionOf(path);
  refuseOld(version, path);
  return { path, version };
}

/** Throws a SetupError if the version lacks what this project needs. `where` is a path or a host, for the message. */
export function refuseOld(version: string, where: string): void {
  const [major = 0] = version.split(".").map(Number);
  if (major >= Number(OLDEST_REDIS.split(".")[0])) return;
  throw new SetupError(
    `Redis ${version} at ${where} is too old: ${OLDEST_REDIS} or newer is needed.`,
    "Install a newer one (https://redis.io/docs/latest/operate/oss_and_stack/install/), or set REDIS_URL to a running one.",
  );
}

/** Parses "Redis server v=7.0.15 sha=…" or "Valkey server v=8.0.1 sha=…". */
function versionOf(path: string): string {
  const said = spawnSync(path, ["--version"], { encoding: "utf8", timeout: 10_000 });
  const version = /\bv=(\d+\.\d+\.\d+)/.exec(said.stdout ?? "")?.[1];
  if (version !== undefined) return version;
  throw new SetupError(
    `${path} --version did not print its version: ${(said.stdout || said.stderr || said.error?.message) ?? ""}`,
    "Fix that installation, or set REDIS_URL to a running Redis.",
  );
}

export function onPath(names: readonly string[]): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface Machine {
  /** Ids of the system and of those it is based on, such as ["linuxmint", "ubuntu", "debian"]; or ["darwin"]. */
  systems: readonly string[];
  isRoot: boolean;
}

const thisMachine = (): Machine => ({ systems: systemIds(), isRoot: process.getuid?.() === 0 });

function systemIds(): string[] {
  if (process.platform !== "linux") return [process.platform];
  try {
    const text = readFileSync("/etc/os-release", "utf8");
    return [...text.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap((match) => (match[1] ?? "").split(/\s+/));
  } catch {
    return [];
  }
}
