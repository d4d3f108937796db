import type { Redis } from "ioredis";
import { type JobQueue, openJobQueue } from "../../shared/outbox/queue.ts";
import { RedisFault } from "../../shared/redis/fault.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { batched } from "../../shared/util/batch.ts";
import type { Log } from "../../shared/util/log.ts";

/** Maximum number of emit jobs that are being added to the queue at once. */
const MAX_WAKING = 1000;

/** The queue of the jobs that wake the worker. */
export interface WorkerWaker {
  /** Adds an emit job; nobody waits for it. If it cannot be added, the worker's sweep finds the command. */
  wake(id: string): void;
  /** How many jobs there are, by state. */
  counts(): Promise<Record<string, number>>;
  /** Waits for the jobs that are being added. */
  close(): Promise<void>;
}

export function createWorkerWaker(redis: Redis, keys: OutboxKeys, log: Log): WorkerWaker {
  let queue: JobQueue | undefined;
  const waking = new Set<Promise<unknown>>();

  /** A BullMQ queue that is created while Redis is down stays broken: so it is created at first use, if Redis is up. */
  function jobs(): JobQueue {
    if (!queue && redis.status !== "ready") throw new RedisFault("unavailable");
    return (queue ??= openJobQueue(redis, keys, log));
  }

  /** A queue that failed may be broken for good, if it was built while Redis hung: the next use builds another. */
  async function useQueue<T>(use: (queue: JobQueue) => Promise<T>): Promise<T> {
    try {
      return await use(jobs());
    } catch (error) {
      const broken = queue;
      queue = undefined;
      void broken?.close();
      throw error;
    }
  }

  /** It is in the outbox: if no emit job can be added, the worker's sweep finds it. Those that come meanwhile go together. */
  const addJob = batched(async (ids: string[]) => {
    try {
      await useQueue((jobQueue) => jobQueue.add(ids));
    } catch {
      log.warn(
        { command_id: ids[0], commands: ids.length },
        "accepted, but no emit job was added: the sweep will send it",
      );
    }
    return ids;
  });

  return {
    wake(id) {
      // The jobs that are being added already will wake it just as well.
      if (waking.size >= MAX_WAKING) return;
      const adding = addJob(id).finally(() => waking.delete(adding));
      waking.add(adding);
    },
    counts: () => useQueue((jobQueue) => jobQueue.counts()),
    async close() {
      await Promise.all(waking);
      await queue?.close();
    },
  };
}
