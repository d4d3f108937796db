import { createSealer } from "../../../shared/sealing/seal.ts";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Redis } from "ioredis";
import { createLog } from "../../../shared/util/log.ts";
import { outboxKeys } from "../../../shared/redis/keys.ts";
import { atMost } from "../../../shared/outbox/bounds.ts";
import type { Backlog } from "../../../shared/outbox/backlog.ts";
import { openOutbox } from "../../../shared/outbox/outbox.ts";
import { closeRedis, connectRedis } from "../../../shared/redis/redis.ts";
import { BASE_PATH } from "../../support/api.ts";
import { signTokens, type Tokens } from "../../support/tokens.ts";
import { freePort } from "../../setup/free-port.ts";
import { type RunningProcess, startProcess } from "../../setup/process.ts";
import { type OwnRedis, startRedis } from "../../setup/redis.ts";
import { type Helper, startHelper } from "../load/helper.ts";
import type { LoaderQuestions } from "../load/loader.ts";
import { until } from "../measure/poll.ts";

const ROOT = join(import.meta.dirname, "../../..");
const BENCH = join(import.meta.dirname, "..");
export const POST_STATUS = `${BASE_PATH}/units/status`;
/** Above the size of any outbox here. */
const MAX_BACKLOG = 1_000_000;
const REWRITTEN_WITHIN_MS = 20_000;

/** What every part of the bench uses: Redis, the functions and the load generator, each in its own process. */
export interface Rig {
  dir: string;
  redis: OwnRedis;
  /** This process's connection. */
  client: Redis;
  loader: Helper<LoaderQuestions>;
  functions: { pid: number; port: number; url: string };
  tokens: Tokens;
  backlog(): Promise<Backlog>;
  /** Clears Redis and shortens its append-only file. Nothing else may use it meanwhile. */
  empty(): Promise<void>;
  stop(): Promise<void>;
}

export const script = (path: string): string => join(ROOT, path);
export const helperScript = (name: string): string => join(BENCH, name);

/** @param dir for Redis's data and the logs */
export async function startRig(dir: string): Promise<Rig> {
  // Rewriting the growing file takes Redis a core for seconds: done between the rounds, not during some of them.
  const redis = await startRedis({ dir: join(dir, "redis"), config: { "auto-aof-rewrite-percentage": "0" } });
  const { log } = createLog({ name: "bench", level: "warn" });
  const client = connectRedis({ REDIS_URL: redis.url }, "worker", log);
  const outbox = openOutbox(client, outboxKeys("socket-bridge"), createSealer([]), atMost(MAX_BACKLOG));
  const jwtSecret = randomBytes(32).toString("base64url");
  const port = await freePort();
  const url = `http://127.0.0.1:${port}${BASE_PATH}`;
  const functions = await startProcess({
    name: "functions",
    script: script("functions/hosts/node.ts"),
    output: join(dir, "functions.log"),
    env: { ...bridgeEnv(redis), PORT: String(port), HOST: "127.0.0.1", JWT_SECRET: jwtSecret },
    readyWhen: async ({ signal }) => (await fetch(`${url}/health`, { signal })).headers.has("content-type"),
  });
  const loader = await startHelper<LoaderQuestions>(helperScript("load/loader.ts"), join(dir, "loader.log"));

  return {
    dir,
    redis,
    client,
    loader,
    functions: { pid: functions.pid, port, url },
    tokens: await signTokens(jwtSecret),
    backlog: outbox.backlog,
    async empty() {
      await client.flushall();
      await client.bgrewriteaof();
      const info = async () => await client.info("persistence");
      await until(
        "Redis has rewritten its file",
        async () => /aof_rewrite_in_progress:0/.test(await info()),
        REWRITTEN_WITHIN_MS,
      );
    },
    async stop() {
      await loader.stop();
      await functions.stop();
      await closeRedis(client);
      await redis.stop();
    },
  };
}

/** The environment of the bench's processes: its defaults, whatever the caller's environment contains. */
function bridgeEnv(redis: OwnRedis): Record<string, string | undefined> {
  return {
    REDIS_URL: redis.url,
    REDIS_PREFIX: undefined,
    LOG_LEVEL: undefined,
    LOG_FILE: undefined,
    MAX_BACKLOG: undefined,
    // The whole load uses one token and one address. The limits are active, but out of reach.
    RATE_LIMIT_WINDOW_S: undefined,
    RATE_LIMIT_TOKEN: "1000000000",
    RATE_LIMIT_TOKEN_BYTES: "1000000000",
    RATE_LIMIT_ADDRESS: "1000000000",
    MAX_WAITING_PER_SUBJECT: "1000000",
    MAX_WAITING_BYTES_PER_SUBJECT: "1000000000000",
    MAX_WAITING_PER_KEY: "1000000",
  };
}

/** The same for a worker. */
export const workerEnvironment = (rig: Rig, cadUrl: string, port: number): Record<string, string | undefined> => ({
  ...bridgeEnv(rig.redis),
  CAD_BACKEND_URL: cadUrl,
  CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN,
  CAD_CONFIRM: undefined,
  CAD_CONFIRM_TIMEOUT_MS: undefined,
  WORKER_INSTANCE: "bench",
  WORKER_PORT: String(port),
  WORKER_HOST: "127.0.0.1",
});

export const CAD_TOKEN = randomBytes(24).toString("base64url");

export interface BenchWorker extends RunningProcess {
  url: string;
  isReady(): Promise<boolean>;
}

/** Starts a worker without waiting until it is ready. */
export async function startWorker(
  rig: Rig,
  cadUrl: string,
  env: Readonly<Record<string, string>> = {},
): Promise<BenchWorker> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/health`;
  const running = await startProcess({
    name: "worker",
    script: script("worker/main.ts"),
    output: join(rig.dir, "worker.log"),
    env: { ...env, ...workerEnvironment(rig, cadUrl, port) },
  });
  return Object.assign(running, {
    url,
    async isReady() {
      const answer = await fetch(url, { signal: AbortSignal.timeout(1000) });
      const { bridge } = (await answer.json()) as { bridge: { ready: boolean } | null };
      return bridge?.ready === true;
    },
  });
}

/** Whether the worker holds the lease. */
export async function isLeader(worker: BenchWorker): Promise<boolean> {
  const answer = await fetch(worker.url, { signal: AbortSignal.timeout(1000) });
  return ((await answer.json()) as { role: string }).role === "owner";
}
