import { Queue, Worker } from "bullmq";
import type { Redis } from "ioredis";
import type { Log } from "../util/log.ts";
import { withDeadline } from "../util/sleep.ts";
import type { OutboxKeys } from "../redis/keys.ts";
import { whyFailed } from "../redis/fault.ts";

/**
 * The BullMQ queue. A job means "send what is runnable", and bears the id of the command that it was added for: whatever order
 * BullMQ runs, retries or recovers jobs in is fine. This file is the only one of the bridge that knows BullMQ.
 */
export interface JobQueue {
  /** Adds a job for each id that has none. */
  add(ids: readonly string[]): Promise<void>;
  /** Adds a job that is no message, ahead of all others: it shows that jobs come out. */
  sendCanary(): Promise<void>;
  counts(): Promise<Record<string, number>>;
  close(): Promise<void>;
}

const JOB_NAME = "emit";
/** The id of the job that is no message. */
export const CANARY_ID = "beat";
/**
 * BullMQ ignores an id that exists in any state, so nothing finished may stay: the history is in the record. A job that a worker
 * takes which has just lost the CAD comes back for the next one.
 */
const JOB_OPTIONS = {
  removeOnComplete: true,
  removeOnFail: true,
  attempts: 3,
  backoff: { type: "fixed", delay: 500 },
} as const;
const FORCED_CLOSE_MS = 1000;

export function openJobQueue(redis: Redis, keys: OutboxKeys, log: Log): JobQueue {
  const queue = new Queue(keys.queue.name, {
    connection: redis,
    prefix: keys.queue.prefix,
    defaultJobOptions: JOB_OPTIONS,
    skipWaitingForReady: true,
  });
  queue.on("error", (error: Error) => log.warn({ reason: whyFailed(error) }, "the queue reports an error"));

  async function add(ids: readonly string[]): Promise<void> {
    const [only] = ids;
    if (ids.length === 1 && only !== undefined) await queue.add(JOB_NAME, {}, { jobId: only });
    else if (ids.length > 1) {
      await queue.addBulk(ids.map((jobId) => ({ name: JOB_NAME, data: {}, opts: { jobId } })));
    }
  }

  return {
    add,
    sendCanary: async () => void (await queue.add(JOB_NAME, {}, { jobId: CANARY_ID, lifo: true })),
    counts: () => queue.getJobCounts("waiting", "active", "delayed"),
    close: () => withDeadline(queue.close(), FORCED_CLOSE_MS, "closing the queue").catch(() => undefined),
  };
}

export interface JobConsumer {
  /** Takes no more jobs; those that run go on. */
  pause(): void;
  /** Takes no more jobs and waits for those that run, `graceMs` at most. */
  stop(graceMs: number): Promise<void>;
}

/** Runs `handle` for each job, up to `concurrency` at once. A job whose handler throws is tried again, and then left to the sweep. */
export function startJobConsumer(
  redis: Redis,
  keys: OutboxKeys,
  concurrency: number,
  handle: (id: string) => Promise<void>,
  log: Log,
): JobConsumer {
  const worker = new Worker(keys.queue.name, (job) => handle(job.id ?? ""), {
    connection: redis,
    prefix: keys.queue.prefix,
    concurrency,
    // A crashed worker's jobs come back within 7 s, however often that happens: measured under chaos.
    lockDuration: 5000,
    stalledInterval: 2000,
    maxStalledCount: 1_000_000,
    runRetryDelay: 200,
    drainDelay: 1,
  });
  worker.on("error", (error) => log.warn({ reason: whyFailed(error) }, "the queue's consumer reports an error"));
  worker.on("failed", (job, error) =>
    log.debug(
      { command_id: job?.id, reason: whyFailed(error) },
      "a job failed; after three times the sweep sees to its command",
    ),
  );

  let stopping: Promise<void> | undefined;
  return {
    pause() {
      worker.pause(true).catch((error: Error) => log.warn({ reason: whyFailed(error) }, "the consumer did not pause"));
    },
    stop(graceMs) {
      stopping ??= withDeadline(worker.close(), graceMs, "closing the consumer")
        .catch(() => withDeadline(worker.close(true), FORCED_CLOSE_MS, "closing the consumer by force"))
        .catch((error: Error) => log.warn({ reason: whyFailed(error) }, "the consumer did not close in time"));
      return stopping;
    },
  };
}
