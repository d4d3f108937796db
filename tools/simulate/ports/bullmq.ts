import { EventEmitter } from "node:events";
import { type Job, JobBoard } from "../world/job-board.ts";
import { RedisNetwork } from "../world/redis-network.ts";
import { type Process, theProcess, type World } from "../world/world.ts";

/** Stands in the place of the package `bullmq` in the simulation. See job-board.ts for what it keeps. */

interface AddOptions {
  jobId?: string;
  lifo?: boolean;
  delay?: number;
}

/** Asked again while Redis is away, ms. */
const AGAIN_MS = 200;

/** Runs on the board after the way to Redis; waits while Redis is away, as BullMQ's own connections do. */
function onBoard<T>(process: Process, step: string, run: (board: JobBoard) => T): Promise<T> {
  const { world } = process;
  const network = world.part(RedisNetwork);
  return new Promise((resolve, reject) => {
    const arrive = () => {
      if (process.life === "dead") return;
      const wait = network.reachableAt(process) - world.now;
      if (wait > 0) return void world.after(wait + AGAIN_MS, "", undefined, arrive);
      const strike = world.step(step);
      if (strike?.fault === "crash before") return world.kill(process);
      const answer = strike?.fault === "lost wake-up" ? (undefined as T) : run(world.part(JobBoard));
      world.say(`${process.name} ${step}`);
      if (strike?.fault === "crash after") return world.kill(process);
      const fails = strike?.fault === "lost reply";
      world.after(world.delay(`${process.name} bullmq from`), "", process, () =>
        fails ? reject(new Error("Connection is closed.")) : resolve(answer),
      );
      if (strike?.fault === "freeze") world.freeze(process, strike.ms);
    };
    world.after(world.delay(`${process.name} bullmq to`), "", undefined, arrive);
  });
}

export class Queue extends EventEmitter {
  readonly #process = theProcess();
  readonly #name: string;

  constructor(name: string, options: { prefix?: string }) {
    super();
    this.#name = `${options.prefix} ${name}`;
  }

  add(name: string, _data: unknown, options: AddOptions = {}): Promise<unknown> {
    return onBoard(this.#process, "bullmq add", (board) =>
      board.add(this.#name, options.jobId ?? name, options.delay, options.lifo),
    );
  }

  addBulk(jobs: readonly { name: string; opts?: AddOptions }[]): Promise<unknown> {
    return onBoard(this.#process, "bullmq add", (board) => {
      for (const { name, opts = {} } of jobs) board.add(this.#name, opts.jobId ?? name, opts.delay, opts.lifo);
    });
  }

  getJobState = (id: string): Promise<string> =>
    onBoard(this.#process, "bullmq state", (board) => board.state(this.#name, id));

  remove = (id: string): Promise<void> =>
    onBoard(this.#process, "bullmq remove", (board) => board.remove(this.#name, id));

  getJobCounts = (): Promise<Record<string, number>> =>
    onBoard(this.#process, "bullmq counts", (board) => ({ ...board.counts(this.#name) }));

  close = async (): Promise<void> => undefined;
}

export class Worker extends EventEmitter {
  readonly #process = theProcess();
  readonly #world: World;
  readonly #board: JobBoard;
  readonly #name: string;
  readonly #concurrency: number;
  readonly #handle: (job: { id: string; name: string; data: unknown }) => Promise<unknown>;
  readonly #active = new Map<number, Job>();
  readonly #consumer;

  constructor(
    name: string,
    handle: (job: { id: string; name: string; data: unknown }) => Promise<unknown>,
    options: { prefix?: string; concurrency?: number },
  ) {
    super();
    this.#world = this.#process.world;
    this.#board = this.#world.part(JobBoard);
    this.#name = `${options.prefix} ${name}`;
    this.#handle = handle;
    this.#concurrency = options.concurrency ?? 1;
    this.#consumer = { process: this.#process, offer: (job: Job) => this.#offer(job) };
    this.#world.after(this.#world.delay("bullmq joins"), "", this.#process, () =>
      this.#board.join(this.#name, this.#consumer),
    );
    this.#process.onDeath.push(() => this.#letGo());
    this.#process.onFreeze.push((ms) => ms > 5000 && this.#letGo());
  }

  #offer(job: Job): boolean {
    if (this.#active.size >= this.#concurrency) return false;
    if (this.#world.part(RedisNetwork).reachableAt(this.#process) > this.#world.now) return false;
    const lock = this.#board.take(job);
    this.#active.set(lock, job);
    const strike = this.#world.step("bullmq job");
    this.#world.say(`${this.#process.name} bullmq job ${job.id}`);
    if (strike?.fault === "crash before") this.#world.kill(this.#process);
    if (strike?.fault === "freeze") this.#world.freeze(this.#process, strike.ms);
    // The same job once more, to any worker: a lost lock, or a stalled check that ran too early.
    if (strike?.fault === "stale job") this.#board.stall(this.#name, job, lock);
    this.#world.after(this.#world.delay("bullmq job"), "", this.#process, () => this.#work(job, lock));
    return true;
  }

  #work(job: Job, lock: number): void {
    const handled = { id: job.id, name: "emit", data: {} };
    void this.#handle(handled)
      .catch((error: unknown) => void this.emit("failed", handled, error))
      .finally(() => {
        this.#active.delete(lock);
        this.#board.finish(this.#name, job, lock);
        this.#board.handOut(this.#name);
      });
  }

  #letGo(): void {
    for (const [lock, job] of this.#active) this.#board.stall(this.#name, job, lock);
  }

  async pause(): Promise<void> {
    this.#board.leave(this.#name, this.#consumer);
  }

  async close(force = false): Promise<void> {
    this.#board.leave(this.#name, this.#consumer);
    if (force) return this.#letGo();
    while (this.#active.size > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
