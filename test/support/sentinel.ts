import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { onTestFinished } from "vitest";
import { freePort } from "../../tools/setup/free-port.ts";
import { startProgram } from "../../tools/setup/process.ts";
import { findRedis } from "../../tools/setup/redis-binary.ts";
import { type OwnRedis, startRedis } from "../../tools/setup/redis.ts";
import { until } from "../../tools/support/until.ts";

const NAME = "the-master";
const SENTINELS = 3;

export interface Replicated {
  master: OwnRedis;
  replica: OwnRedis;
  /** Names the Sentinels. */
  url: string;
  /** Starts the first master again, where it was. */
  restartMaster(): Promise<OwnRedis>;
}

/** A client of one Redis, closed with the test. */
export function clientOf(url: string): Redis {
  const client = new Redis(url, { maxRetriesPerRequest: null }).on("error", () => undefined);
  onTestFinished(() => client.disconnect());
  return client;
}

/** A Redis with a replica, and three Sentinels that watch them. @param password of the Sentinels */
export async function startReplicated(password?: string): Promise<Replicated> {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-sentinel-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const start = async (name: string, port = 0, config: Record<string, string> = {}) => {
    const redis = await startRedis({ dir: join(dir, name), port, appendonly: true, config });
    onTestFinished(() => redis.stop());
    return redis;
  };
  const master = await start("first");
  const replica = await start("second", 0, { replicaof: `127.0.0.1 ${master.port}` });
  const ports = await Promise.all(Array.from({ length: SENTINELS }, () => freePort()));
  const { path } = await findRedis(() => undefined);
  await Promise.all(
    ports.map((port, i) => startSentinel(join(dir, `sentinel-${i}`), path, port, master.port, password)),
  );
  const client = clientOf(master.url);
  await until("the replica is in sync", async () => /state=online/.test(await client.info("replication")), 20_000);
  const hosts = ports.map((port) => `127.0.0.1:${port}`).join(",");
  const url = `redis+sentinel://${hosts}/${NAME}`;
  return { master, replica, url, restartMaster: () => start("first", master.port) };
}

async function startSentinel(
  dir: string,
  path: string,
  port: number,
  master: number,
  password?: string,
): Promise<void> {
  const url = `redis://${password ? `:${password}@` : ""}127.0.0.1:${port}`;
  const file = `${dir}.conf`;
  const lines = [
    `port ${port}`,
    "bind 127.0.0.1",
    ...(password ? [`requirepass ${password}`, `sentinel sentinel-pass ${password}`] : []),
    `sentinel monitor ${NAME} 127.0.0.1 ${master} 2`,
    `sentinel down-after-milliseconds ${NAME} 1000`,
    `sentinel failover-timeout ${NAME} 5000`,
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  const client = clientOf(url);
  const sentinel = await startProgram({
    name: "sentinel",
    command: path,
    args: [file, "--sentinel"],
    output: `${dir}.log`,
    readyWhen: async () => (await client.ping()) === "PONG",
  });
  onTestFinished(async () => void (await sentinel.stop()));
  await until(
    "the Sentinels and the replica know one another",
    async () => {
      const [info] = (await client.call("SENTINEL", "MASTERS")) as string[][];
      const field = (name: string) => Number(info?.[info.indexOf(name) + 1]);
      return field("num-other-sentinels") === SENTINELS - 1 && field("num-slaves") === 1;
    },
    30_000,
  );
}

/** A single Sentinel that takes nothing but TLS and reaches its master by TLS. Returns the URL for the bridge. */
export async function startTlsSentinel(of: {
  dir: string;
  cert: string;
  key: string;
  master: number;
}): Promise<string> {
  const [port, file] = [await freePort(), join(of.dir, "sentinel.conf")];
  const lines = [
    "port 0",
    `tls-port ${port}`,
    "bind 127.0.0.1",
    "tls-auth-clients no",
    "tls-replication yes",
    `tls-cert-file ${of.cert}`,
    `tls-key-file ${of.key}`,
    `tls-ca-cert-file ${of.cert}`,
    `sentinel monitor ${NAME} 127.0.0.1 ${of.master} 1`,
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  const { path } = await findRedis(() => undefined);
  const client = new Redis({ host: "127.0.0.1", port, tls: { ca: readFileSync(of.cert) }, maxRetriesPerRequest: null });
  client.on("error", () => undefined);
  onTestFinished(() => client.disconnect());
  const sentinel = await startProgram({
    name: "sentinel",
    command: path,
    args: [file, "--sentinel"],
    output: `${of.dir}/sentinel.log`,
    readyWhen: async () => (await client.ping()) === "PONG",
  });
  onTestFinished(async () => void (await sentinel.stop()));
  return `rediss+sentinel://127.0.0.1:${port}/${NAME}`;
}
