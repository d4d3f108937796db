import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { availableParallelism, cpus, loadavg, platform, release, totalmem } from "node:os";
import type { Redis } from "ioredis";

const require = createRequire(import.meta.url);
const PACKAGES = ["bullmq", "ioredis", "hono", "@hono/node-server", "socket.io", "socket.io-client", "zod"] as const;

/** The hardware and software of this run. */
export async function describeEnvironment(client: Redis) {
  const info = await client.info("server");
  return {
    date: new Date().toISOString(),
    commit: commit(),
    node: process.version,
    redis: /^redis_version:(\S+)/m.exec(info)?.[1] ?? "unknown",
    packages: Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)])),
    system: `${platform()} ${release()}`,
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    /** Load average of the last minute: shows what else ran on this machine. */
    load: loadavg()[0] ?? 0,
  };
}

function versionOf(name: string): string {
  const entry = require.resolve(name);
  const folder = entry.slice(0, entry.lastIndexOf(`node_modules/${name}/`) + `node_modules/${name}/`.length);
  const { version } = require(`${folder}package.json`) as { version: string };
  return version;
}

/** The commit, with a `+` if the tree has changes; unknown outside a clone. */
function commit(): string {
  try {
    const head = git("rev-parse", "--short", "HEAD");
    return git("status", "--porcelain") === "" ? head : `${head}+`;
  } catch {
    return "unknown";
  }
}

const git = (...args: string[]): string =>
  execFileSync("git", args, { cwd: import.meta.dirname, encoding: "utf8", timeout: 5000, stdio: "pipe" }).trim();
