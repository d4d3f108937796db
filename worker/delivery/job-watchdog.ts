import type { Redis } from "ioredis";
import type { Log } from "../../shared/util/log.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import {
  CANARY_ID,
  type JobConsumer,
  type JobQueue,
  openJobQueue,
  startJobConsumer,
} from "../../shared/outbox/queue.ts";
import { closeRedis } from "../../shared/redis/redis.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";

/** How long a stop waits for the jobs that run, ms. */
const STOP_MS = 500;
/** How long one question to the queue may take, ms; a job that is added later all the same does no harm. */
const QUEUE_MS = 5000;

export interface JobsOptions {
  /** Opens a connection for BullMQ. */
  connect(): Redis;
  keys: OutboxKeys;
  concurrency: number;
  /** True while jobs are expected: while they all wait for the CAD, or commands come without them, silence means nothing. */
  isOpen(): boolean;
  /** How often a beat is sent through a queue that has nothing else to do, ms. */
  canaryMs: number;
  /** Time without any job after which a new connection is opened, and after the same time again the worker ends, ms. */
  silentMs: number;
  /** Jobs do not come, and a new connection has not helped. */
  onWedged(): void;
  signal: AbortSignal;
  log: Log;
}

/** The queue as the worker uses it: hands out the jobs, and sees to it that it does. */
export interface Jobs {
  queue: JobQueue;
  /** Hands out jobs from now on. Called once. */
  start(handle: (id: string) => Promise<void>): void;
  /** True if jobs, or canary jobs, come out of the queue. */
  consuming(): boolean;
  /** Hands out no more jobs: waiting ones are left to the next leader. */
  pause(): void;
  stop(): Promise<void>;
}

interface QueueConnection {
  redis: Redis;
  queue: JobQueue;
  consumer: JobConsumer | undefined;
}

const inTime = <T>(asked: Promise<T>): Promise<T> => withDeadline(asked, QUEUE_MS, "asking the queue");

async function close(connection: QueueConnection): Promise<void> {
  await Promise.all([connection.consumer?.stop(STOP_MS), connection.queue.close()]);
  await closeRedis(connection.redis);
}

/**
 * A consumer can sit on a connection that looks alive and receive nothing. So liveness is proven by consumption: when no job
 * came for a while, a canary job goes through the queue; if it does not come out either, a new connection is opened, and
 * if that does not help, the worker ends, so that another one takes over.
 */
export function openJobs(options: JobsOptions): Jobs {
  const { keys, signal, log } = options;
  let lastConsumed = performance.now();
  let connection = open();
  let watching: Promise<void> | undefined;

  function open(): QueueConnection {
    const redis = options.connect();
    return { redis, queue: openJobQueue(redis, keys, log), consumer: undefined };
  }
  function consume(handle: (id: string) => Promise<void>): void {
    const onJob = async (id: string): Promise<void> => {
      lastConsumed = performance.now();
      if (id !== CANARY_ID) await handle(id);
    };
    connection.consumer = startJobConsumer(connection.redis, keys, options.concurrency, onJob, log);
  }

  const jobQueue: JobQueue = {
    add: (ids) => inTime(connection.queue.add(ids)),
    sendCanary: () => inTime(connection.queue.sendCanary()),
    counts: () => inTime(connection.queue.counts()),
    close: () => connection.queue.close(),
  };
  const silence = () => performance.now() - lastConsumed;
  const { canaryMs, silentMs } = options;

  async function watch(handle: (id: string) => Promise<void>): Promise<void> {
    for (let rebuilt = false; !signal.aborted;) {
      await sleep(canaryMs, signal);
      if (signal.aborted) return;
      if (!options.isOpen()) lastConsumed = performance.now();
      if (silence() < canaryMs) rebuilt = false;
      else await jobQueue.sendCanary().catch(() => undefined);
      if (silence() < silentMs) continue;
      if (rebuilt) return options.onWedged();
      log.error({ silent_ms: Math.round(silence()) }, "no jobs received from the queue: opening a new connection");
      const old = connection;
      connection = open();
      consume(handle);
      rebuilt = true;
      lastConsumed = performance.now();
      await close(old);
    }
  }
  return {
    queue: jobQueue,
    start(handle) {
      lastConsumed = performance.now();
      consume(handle);
      watching = watch(handle);
    },
    consuming: () => silence() < silentMs,
    pause: () => connection.consumer?.pause(),
    async stop() {
      await Promise.all([watching, close(connection)]);
    },
  };
}
