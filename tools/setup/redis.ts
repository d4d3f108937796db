import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { onSomePort } from "./free-port.ts";
import { startProgram, type RunningProcess } from "./process.ts";
import { findRedis, refuseOld } from "./redis-binary.ts";
import { probeRedis } from "./redis-probe.ts";
import { SetupError } from "./setup-error.ts";

export interface TestRedis {
  url: string;
  /** No-op for a Redis that was not started here. */
  stop(): Promise<void>;
  /** Absent if it was not started here. */
  process?: RunningProcess;
}

export interface OwnRedis extends TestRedis {
  port: number;
  pid: number;
  process: RunningProcess;
}

export interface RedisOptions {
  /** Directory of its append-only file and log; created if missing. */
  dir: string;
  /** 0 or absent: a free one. */
  port?: number;
  /** Survives a restart: AOF, written before every answer, flushed to disk every second. */
  appendonly?: boolean;
  /** More directives of redis.conf, such as { maxmemory: "50mb" }. */
  config?: Readonly<Record<string, string>>;
  log?: (line: string) => void;
}

const ANSWER_WITHIN_MS = 5_000;
const STOP_WITHIN_MS = 5_000;

/** The Redis of REDIS_URL, if set and answering; otherwise a new one. Throws a SetupError with a hint. */
export async function ensureRedis(options: RedisOptions): Promise<TestRedis> {
  const url = process.env["REDIS_URL"];
  if (!url) return await startRedis(options);
  const where = withoutCredentials(url);
  const { version } = await probeRedis(url, ANSWER_WITHIN_MS).catch((error: unknown) => {
    throw new SetupError(
      `The Redis of REDIS_URL (${where}) does not answer: ${error instanceof Error ? error.message : String(error)}`,
      "Start it, fix REDIS_URL, or unset it to start a separate Redis here.",
      { cause: error },
    );
  });
  if (version !== undefined) refuseOld(version, where);
  options.log?.(`Using the Redis of REDIS_URL: ${where}`);
  return { url, stop: async () => {} };
}

/** Starts a Redis on 127.0.0.1 and waits until it answers. It ends with this process, except after a SIGKILL. */
export async function startRedis(options: RedisOptions): Promise<OwnRedis> {
  const log = options.log ?? (() => {});
  const binary = await findRedis(log);
  mkdirSync(options.dir, { recursive: true });
  const start = async (port: number): Promise<OwnRedis> => {
    const url = `redis://127.0.0.1:${port}`;
    const redis = await startProgram({
      name: "redis",
      command: binary.path,
      args: directives({ ...defaults(port, options), ...options.config }),
      output: join(options.dir, "redis.log"),
      // Another Redis may hold the port and answer instead.
      readyWhen: async ({ pid }) => (await probeRedis(url, 1_000)).pid === pid,
      stopWithinMs: STOP_WITHIN_MS,
    });
    return { url, port, pid: redis.pid, process: redis, stop: async () => void (await redis.stop()) };
  };
  return options.port ? await start(options.port) : await onSomePort(undefined, start);
}

const defaults = (port: number, options: RedisOptions) => ({
  port: String(port),
  bind: "127.0.0.1",
  dir: options.dir,
  daemonize: "no",
  save: "",
  appendonly: options.appendonly === false ? "no" : "yes",
  appendfsync: "everysec",
  // BullMQ and the outbox must never lose a key to eviction: a full Redis refuses writes instead.
  "maxmemory-policy": "noeviction",
});

const directives = (config: Readonly<Record<string, string>>) =>
  Object.entries(config).flatMap(([name, value]) => [`--${name}`, value]);

function withoutCredentials(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${host}${pathname}`;
  } catch {
    return "not a URL";
  }
}
