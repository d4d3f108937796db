import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { commandLineOf } from "../../tools/support/leftover.ts";
import { freePort } from "../../tools/setup/free-port.ts";
import { findRedis, refuseOld, type Machine } from "../../tools/setup/redis-binary.ts";
import { forgetPrefix, probeRedis } from "../../tools/setup/redis-probe.ts";
import { ensureRedis, startRedis } from "../../tools/setup/redis.ts";

const dir = mkdtempSync(join(tmpdir(), "socket-bridge-redis-test-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(() => void vi.unstubAllEnvs());

async function using<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

describe("a Redis of our own", () => {
  it("keeps what it was told through a kill, refuses to lose keys, and leaves no process", async () => {
    const own = { dir: join(dir, "own") };
    const first = await startRedis(own);
    await using(first.url, (redis) => redis.set("kept", "yes"));
    first.process.kill("SIGKILL");
    await first.process.exited;

    const second = await startRedis(own);
    const kept = await using(second.url, async (redis) => [
      await redis.get("kept"),
      await redis.config("GET", "maxmemory-policy"),
    ]);
    expect(kept).toEqual(["yes", ["maxmemory-policy", "noeviction"]]);
    await second.stop();
    await second.stop();
    expect(commandLineOf(second.pid)).toBeUndefined();
    await expect(probeRedis(second.url, 500)).rejects.toThrow(/ECONNREFUSED/);
  });

  it("takes directives of its own", async () => {
    const redis = await startRedis({ dir: join(dir, "small"), appendonly: false, config: { maxmemory: "20mb" } });
    expect(await using(redis.url, (r) => r.config("GET", "maxmemory"))).toEqual([
      "maxmemory",
      String(20 * 1024 * 1024),
    ]);
    expect(existsSync(join(dir, "small", "appendonlydir"))).toBe(false);
    await redis.stop();
  });

  it("does not take another Redis on its port for itself", async () => {
    const first = await startRedis({ dir: join(dir, "first") });
    const second = startRedis({ dir: join(dir, "second"), port: first.port });
    await expect(second).rejects.toThrow(/Address already in use/);
    await first.stop();
  });

  it("forgets the keys of one prefix only", async () => {
    const redis = await startRedis({ dir: join(dir, "prefix") });
    await using(redis.url, (r) => r.mset("{demo-1}:a", "1", "{demo-1}:b", "2", "{demo-12}:c", "3", "demo-1", "4"));
    await forgetPrefix(redis.url, "demo-1");
    expect((await using(redis.url, (r) => r.keys("*"))).toSorted()).toEqual(["demo-1", "{demo-12}:c"]);
    await redis.stop();
  });
});

describe("REDIS_URL", () => {
  it("is used if it answers, and left running", async () => {
    const redis = await startRedis({ dir: join(dir, "given") });
    vi.stubEnv("REDIS_URL", redis.url);
    const given = await ensureRedis({ dir: join(dir, "unused") });
    expect(given.url).toBe(redis.url);
    expect(given.process).toBeUndefined();
    await given.stop();
    await expect(probeRedis(redis.url, 1_000)).resolves.toMatchObject({ pid: redis.pid });
    await redis.stop();
  });

  it("that does not answer is reported without its password", async () => {
    const port = await freePort();
    vi.stubEnv("REDIS_URL", `redis://user:secret@127.0.0.1:${port}/3`);
    const error = await ensureRedis({ dir }).catch((e: unknown) => e);
    expect(error).toMatchObject({
      message: expect.stringContaining(`redis://127.0.0.1:${port}/3`),
      hint: expect.stringContaining("REDIS_URL"),
    });
    expect(String(error)).not.toContain("secret");
  });
});

it.each([
  ["6.2.14", false],
  ["7.0.0", true],
  ["7.0.15", true],
  ["8.1.0", true],
  ["10.0.0", true],
])("Redis %s: good enough is %s", (version, good) => {
  const ask = () => refuseOld(version, "somewhere");
  if (good) expect(ask).not.toThrow();
  else expect(ask).toThrow(/too old: 7\.0 or newer/);
});

/** A PATH with nothing on it but the programs that are given as shell scripts. */
function onlyPrograms(name: string, programs: Record<string, string>): string {
  const bin = join(dir, name);
  mkdirSync(bin);
  for (const [program, script] of Object.entries(programs)) {
    writeFileSync(join(bin, program), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, program), 0o755);
  }
  vi.stubEnv("PATH", bin);
  return bin;
}
describe("finding a Redis", () => {
  const debian: Machine = { systems: ["debian"], isRoot: true };

  it("takes a Valkey too", async () => {
    const bin = onlyPrograms("valkey", { "valkey-server": "echo Valkey server v=8.0.1 sha=0" });
    expect(await findRedis(() => {}, debian)).toEqual({ path: join(bin, "valkey-server"), version: "8.0.1" });
  });

  it("installs the package on Debian as root, reading the package lists if need be, and says so", async () => {
    const bin = onlyPrograms("apt", {
      "apt-get": `echo "$DEBIAN_FRONTEND $*" >> "${join(dir, "apt.log")}"
case "$*" in
  *update*) : > "${join(dir, "lists")}" ;;
  *) [ -e "${join(dir, "lists")}" ] || exit 100
     printf '#!/bin/sh\necho Redis server v=7.0.15\n' > "${join(dir, "apt", "redis-server")}"
     /bin/chmod +x "${join(dir, "apt", "redis-server")}" ;;
esac`,
    });
    const said: string[] = [];
    expect(await findRedis((line) => said.push(line), debian)).toEqual({
      path: join(bin, "redis-server"),
      version: "7.0.15",
    });
    expect(said[0]).toMatch(/installing the distribution's package redis-server with apt-get/);
    const calls = readFileSync(join(dir, "apt.log"), "utf8").trim().split("\n");
    expect(calls.map((call) => /^noninteractive .* (install|update)/.exec(call)?.[1])).toEqual([
      "install",
      "update",
      "install",
    ]);
  });

  it("reports why the package could not be installed", async () => {
    onlyPrograms("apt-fails", { "apt-get": 'echo "E: no route to the mirror" >&2; exit 100' });
    await expect(findRedis(() => {}, debian)).rejects.toMatchObject({
      message: expect.stringContaining("no route to the mirror"),
      hint: expect.stringContaining("apt-get update && apt-get install -y redis-server"),
    });
  });

  it.each([
    [["debian"], "sudo apt-get update && sudo apt-get install -y redis-server"],
    [["linuxmint", "ubuntu", "debian"], "sudo apt-get update"],
    [["rocky", "rhel", "centos", "fedora"], "sudo dnf install -y redis"],
    [["alpine"], "sudo apk add redis"],
    [["darwin"], "brew install redis"],
    [["plan9"], "or set REDIS_URL"],
  ])("on %j, says to type %s", async (systems, command) => {
    onlyPrograms(systems.join("-"), {});
    await expect(findRedis(() => {}, { systems, isRoot: false })).rejects.toMatchObject({
      hint: expect.stringContaining(command),
    });
  });

  it("refuses one that is too old", async () => {
    onlyPrograms("old", { "redis-server": "echo Redis server v=6.0.16 sha=0" });
    await expect(findRedis(() => {}, debian)).rejects.toThrow(/6\.0\.16 .* is too old/);
  });
});
