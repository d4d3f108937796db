import type { Log } from "../../shared/util/log.ts";
import type { OwnedOutbox } from "../../shared/outbox/owned.ts";
import { sleep, untilAborted } from "../../shared/util/sleep.ts";
import { whyFailed } from "../../shared/redis/fault.ts";
import type { Taken } from "./claim.ts";

/**
 * How many commands are worked on at once, and how many jobs BullMQ hands out at once: a place for every unit of a
 * large agency, so that units whose commands are not confirmed, and hold theirs for seconds, delay no other.
 */
const MAX_RUNNING = 2048;
export const CONCURRENCY = 1024;
/** How many commands follow one another in process before the next goes back to the queue, for fairness. */
const MAX_CHAIN = 64;
/** How often the sweep looks, and for how long a runnable command must have been neglected, ms. */
const SWEEP_MS = 2000;
const NEGLECTED_MS = 2000;

/** What follows after one message was worked on. */
export type Delivered =
  | { runnable: string[] }
  | { retryInMs: number }
  /** It may not be sent yet: to be tried again when this resolves; it takes no place meanwhile. */
  | { waits: Promise<void> };

/** Where messages wait until there is a place for them. */
export interface Waiting {
  add(ids: readonly string[]): Promise<void>;
  /** Adds those that do not wait there yet; returns their number. */
  ensure(ids: readonly string[]): Promise<number>;
}

export interface DispatcherOptions {
  outbox: OwnedOutbox;
  queue: Waiting;
  /** Whether everything that is runnable at the start goes through the queue; else it is run at once, page by page. */
  queuesAll?: boolean;
  /** @param taken it was begun already */
  deliver(id: string, taken?: Taken): Promise<Delivered>;
  /** True while commands can be sent. While they cannot, none counts as neglected. */
  isOpen(): boolean;
  signal: AbortSignal;
  log: Log;
}

/** Decides which commands are worked on now: those that BullMQ hands out, those that follow them, and the neglected. */
export interface Dispatcher {
  /** Runs a job. What becomes runnable is delivered outside of the job, so that it blocks no slot of the queue. */
  onJob(id: string): Promise<void>;
  /** Works on a command that an exchange took. */
  take(id: string, taken?: Taken): void;
  /** How many are worked on, and how many more may be. */
  inHand(): number;
  room(): number;
  /** Runs what is runnable at once, then sweeps until the signal aborts; resolves when nothing runs any more. */
  run(): Promise<void>;
  /** Retries everything that waits for a retry at once. */
  wake(): void;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { outbox, queue, signal, log } = options;
  const running = new Map<string, Promise<Delivered>>();
  /** Those that wait for a retry. At most one for each queue. */
  const resting = new Map<string, AbortController>();

  /** A second run of the same id joins the first: BullMQ may hand out again what this process still works on. */
  function deliverOnce(id: string, taken?: Taken): Promise<Delivered> {
    const present = running.get(id);
    if (present) return present;
    const mine = options.deliver(id, taken).finally(() => running.delete(id));
    running.set(id, mine);
    return mine;
  }

  /** Works on one command. What it makes runnable follows at once, without the queue, and is not awaited here. */
  async function workOn(id: string, depth = 0, taken?: Taken): Promise<void> {
    if (signal.aborted) return;
    if (depth > MAX_CHAIN || (depth > 0 && running.size >= MAX_RUNNING)) return queue.add([id]);
    const delivered = await deliverOnce(id, taken);
    if ("retryInMs" in delivered) rest(id, (woken) => sleep(delivered.retryInMs, woken));
    else if ("waits" in delivered) rest(id, (woken) => Promise.race([delivered.waits, untilAborted(woken)]));
    else for (const next of delivered.runnable) void workOn(next, depth + 1).catch(leaveToSweep);
  }

  /**
   * Lets a command that is to be retried wait at the head of its queues, without blocking anything else. Here and not in the
   * queue: BullMQ uses the machine's clock, and if that jumps, the command would be left there.
   */
  function rest(id: string, until: (woken: AbortSignal) => Promise<unknown>): void {
    const woken = new AbortController();
    resting.set(id, woken);
    const wakeUp = async () => {
      await until(AbortSignal.any([signal, woken.signal]));
      if (resting.get(id) === woken && resting.delete(id)) await workOn(id);
    };
    void wakeUp().catch(leaveToSweep);
  }

  /** What fails here (Redis is away, the lease is lost) stays runnable for the next sweep, or the next leader. */
  function leaveToSweep(error: unknown): void {
    if (!signal.aborted) log.warn({ reason: whyFailed(error) }, "failed: the sweep will retry");
  }

  async function runAllRunnable(): Promise<void> {
    if (options.queuesAll) {
      for await (const page of outbox.allRunnable()) await queue.ensure(page);
      return;
    }
    for await (const page of outbox.runnable(0)) {
      const mine = page.slice(0, MAX_RUNNING);
      await Promise.all(mine.map((id) => workOn(id).catch(leaveToSweep)));
      if (signal.aborted) return;
    }
  }

  async function sweep(): Promise<void> {
    // Queued, not run: they may have to wait for the CAD, and the next sweep must not wait for them.
    await queue.add(await outbox.expire()).catch(leaveToSweep);
    if (!options.isOpen()) return;
    // BullMQ can neither take nor hand out a job while Redis is full: what empties Redis must not depend on it.
    const full = await outbox.isFull();
    let added = 0;
    for await (const page of outbox.runnable(NEGLECTED_MS)) {
      const waiting: string[] = [];
      const neglected: string[] = [];
      for (const id of page) {
        if (signal.aborted || (full && running.size >= MAX_RUNNING)) return;
        if (resting.has(id)) waiting.push(id);
        if (running.has(id) || resting.has(id)) continue;
        if (full) void workOn(id).catch(leaveToSweep);
        else neglected.push(id);
      }
      if (neglected.length > 0) added += await queue.ensure(neglected);
      if (waiting.length > 0) await outbox.noteWaiting(waiting);
    }
    if (added > 0) log.warn({ added }, "the sweep queued neglected commands again");
  }

  return {
    onJob: (id) => workOn(id),
    take(id, taken) {
      // Known here already, such as one that an old job brought: it is begun again when its time comes.
      if (!running.has(id) && !resting.has(id)) void workOn(id, 0, taken).catch(leaveToSweep);
    },
    inHand: () => running.size,
    room: () => MAX_RUNNING - running.size,
    wake() {
      for (const woken of resting.values()) woken.abort();
    },

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
