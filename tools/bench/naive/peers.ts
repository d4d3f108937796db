import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { startRedis } from "../../setup/redis.ts";
import { signTokens } from "../../support/tokens.ts";
import { type BenchCad, startBenchCad } from "../rig/bench-cad.ts";
import { fill } from "../rig/fill.ts";
import { statusBody } from "../load/fleet.ts";
import { type Helper, startHelper } from "../load/helper.ts";
import type { Target } from "../load/load.ts";
import { NAIVE_QUEUE, type NaiveFunctionsQuestions, type NaiveJob } from "./naive-functions.ts";
import type { NaiveWorkerQuestions } from "./naive-worker.ts";
import { until } from "../measure/poll.ts";
import { CAD_TOKEN, helperScript, POST_STATUS, type Rig, startWorker } from "../rig/rig.ts";

/** The processes that carry a command, without the CAD and the load generator. */
export interface PeerPids {
  functions: number;
  worker: number;
  redis: number;
  simulator: number;
}

/** One of the bridges measured side by side, each with its own Redis and CAD. */
export interface Peer {
  name: "bridge" | "naive";
  target: Target;
  /** This process's connection to its Redis. */
  redis: Redis;
  cad: BenchCad;
  pids(): PeerPids;
  /** Number of commands not yet delivered or settled. */
  unsettled(): Promise<number>;
  /** Stops the worker and adds this many commands to its backlog. */
  refill(commands: number): Promise<void>;
  startWorker(): Promise<void>;
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 20_000;
const ASK_WITHIN_MS = 20_000;
const BULK = 1000;

/** The bridge of this repository, with all features on. */
export async function startBridgePeer(rig: Rig): Promise<Peer> {
  const cad = await startBenchCad(rig, "modern");
  const start = async () => {
    const started = await startWorker(rig, cad.url);
    await until("the worker is ready", started.isReady, READY_WITHIN_MS);
    return started;
  };
  let worker = await start();
  return {
    name: "bridge",
    target: { port: rig.functions.port, path: POST_STATUS, token: rig.tokens.crew, idempotency: true },
    redis: rig.client,
    cad,
    pids: () => ({ functions: rig.functions.pid, worker: worker.pid, redis: rig.redis.pid, simulator: cad.pid }),
    unsettled: async () => (await rig.backlog()).unsettled,
    async refill(commands) {
      await worker.stop();
      await rig.empty();
      await fill(rig, commands, 1);
    },
    startWorker: async () => void (worker = await start()),
    async stop() {
      await worker.stop();
      await cad.stop();
    },
  };
}

/** A bridge written in an hour: see naive-functions.ts and naive-worker.ts. */
export async function startNaivePeer(rig: Rig): Promise<Peer> {
  const own = await startRedis({ dir: join(rig.dir, "naive-redis"), config: { "auto-aof-rewrite-percentage": "0" } });
  const cad = await startBenchCad(rig, "modern");
  const secret = randomBytes(32).toString("base64url");
  const output = join(rig.dir, "naive.log");
  const env = { REDIS_URL: own.url, JWT_SECRET: secret, CAD_BACKEND_URL: cad.url, CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN };
  const functions: Helper<NaiveFunctionsQuestions> = await startHelper(
    helperScript("naive/naive-functions.ts"),
    output,
    env,
  );
  const start = (): Promise<Helper<NaiveWorkerQuestions>> =>
    startHelper(helperScript("naive/naive-worker.ts"), output, env);
  let worker = await start();
  const redis = new Redis(own.url, { maxRetriesPerRequest: null });
  const queue = new Queue<NaiveJob>(NAIVE_QUEUE, {
    connection: redis,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true, attempts: 3 },
  });
  const port = await functions.ask("port", null, ASK_WITHIN_MS);
  const token = (await signTokens(secret)).crew;
  return {
    name: "naive",
    target: { port, path: "/units/status", token, idempotency: false },
    redis,
    cad,
    pids: () => ({ functions: functions.pid, worker: worker.pid, redis: own.pid, simulator: cad.pid }),
    async unsettled() {
      const { waiting = 0, active = 0, delayed = 0 } = await queue.getJobCounts("waiting", "active", "delayed");
      return waiting + active + delayed;
    },
    async refill(commands) {
      await worker.stop();
      for (let from = 0; from < commands; from += BULK) {
        const jobs = Array.from({ length: Math.min(BULK, commands - from) }, (_, i) => ({
          name: "emit",
          data: { id: crypto.randomUUID(), body: statusBody(from + i, 1) },
        }));
        await queue.addBulk(jobs);
      }
    },
    startWorker: async () => void (worker = await start()),
    async stop() {
      await worker.stop();
      await functions.stop();
      await queue.close();
      redis.disconnect();
      await cad.stop();
      await own.stop();
    },
  };
}
