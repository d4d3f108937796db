import type { Log } from "../shared/log.ts";
import type { JobOutcome, JobQueue } from "../shared/outbox/queue.ts";
import type { OwnedOutbox } from "../shared/outbox/owned.ts";
import { sleep } from "../shared/sleep.ts";
import type { Delivered } from "./deliver.ts";

/**
 * How many commands are worked on at once, and how many jobs BullMQ hands out at once: a place for every unit of a
 * large agency, so that units whose commands are not confirmed, and hold theirs for seconds, delay no other.
 */
export const MAX_RUNNING = 2048;
export const CONCURRENCY = 1024;
/** How many commands follow one another in process before the next goes back to the queue, for fairness. */
const MAX_CHAIN = 64;
/** How often the sweep looks, and for how long a runnable command must have been neglected, ms. */
const SWEEP_MS = 2000;
const NEGLECTED_MS = 2000;

export interface DrainOptions {
  outbox: OwnedOutbox;
  queue: JobQueue;
  deliver(id: string): Promise<Delivered>;
  /** True while the CAD takes commands. While it does not, nobody neglects anything. */
  isOpen(): boolean;
  signal: AbortSignal;
  log: Log;
}

/** Decides which commands are worked on now: those that BullMQ hands out, those that follow them, and the neglected. */
export interface Drain {
  /** Runs a job, and then whatever it made runnable. */
  onJob(id: string): Promise<JobOutcome>;
  running(): number;
  /** Runs what is runnable at once, then sweeps until the signal aborts; resolves when nothing runs any more. */
  run(): Promise<void>;
}

export function createDrain(options: DrainOptions): Drain {
  const { outbox, queue, signal, log } = options;
  const running = new Map<string, Promise<Delivered>>();

  /** A second run of the same id joins the first: BullMQ may hand out again what this process still works on. */
  function deliverOnce(id: string): Promise<Delivered> {
    const present = running.get(id);
    if (present) return present;
    const mine = options.deliver(id).finally(() => running.delete(id));
    running.set(id, mine);
    return mine;
  }

  /** The fast path: what became runnable runs here at once, without a way through the queue. */
  async function follow(ids: readonly string[], depth: number): Promise<void> {
    if (ids.length === 0 || signal.aborted) return;
    if (depth > MAX_CHAIN || running.size >= MAX_RUNNING) return queue.add(ids);
    await Promise.all(ids.map((id) => runHere(id, depth)));
  }

  async function runHere(id: string, depth: number): Promise<void> {
    const delivered = await deliverOnce(id);
    if ("retryInMs" in delivered) await queue.add([id], delivered.retryInMs);
    else await follow(delivered.runnable, depth + 1);
  }

  /** What fails here (Redis is away, the lease is lost) stays runnable: the next sweep or the next owner sees to it. */
  function leaveToSweep(error: unknown): void {
    if (!signal.aborted) log.warn({ reason: error instanceof Error ? error.name : "unknown" }, "left to the sweep");
  }

  async function runAllRunnable(): Promise<void> {
    for await (const page of outbox.runnable(0)) {
      const mine = page.slice(0, MAX_RUNNING);
      await Promise.all(mine.map((id) => runHere(id, 0).catch(leaveToSweep)));
      if (signal.aborted) return;
    }
  }

  async function sweep(): Promise<void> {
    // Queued, not run: they may have to wait for the CAD, and the next sweep is not to wait for them.
    await queue.add(await outbox.expire());
    if (!options.isOpen()) return;
    let added = 0;
    for await (const page of outbox.runnable(NEGLECTED_MS)) {
      for (const id of page) {
        if (signal.aborted) return;
        if (!running.has(id) && (await queue.ensure(id)) === "added") added += 1;
      }
    }
    if (added > 0) log.warn({ added }, "the sweep queued neglected commands again");
  }

  return {
    async onJob(id) {
      const delivered = await deliverOnce(id);
      if ("retryInMs" in delivered) return delivered;
      await follow(delivered.runnable, 1);
      return "done";
    },

    running: () => running.size,

    async run() {
      const first = runAllRunnable().catch(leaveToSweep);
      while (!signal.aborted) {
        await sleep(SWEEP_MS, signal);
        if (!signal.aborted) await sweep().catch(leaveToSweep);
      }
      await first;
      while (running.size > 0) await Promise.allSettled(running.values());
    },
  };
}
