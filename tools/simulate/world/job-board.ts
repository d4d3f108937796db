import type { Process, World } from "./world.ts";

export interface Job {
  id: string;
  state: "waiting" | "active" | "delayed";
  /** Of the consumer that has it; one that let its lock lapse has it no more. */
  lock: number;
}

/** Asked whenever a job may be there for it; false if it can take none now. */
export interface Consumer {
  process: Process;
  offer(job: Job): boolean;
}

/** A job whose consumer is gone comes back after so long, ms: its lock (5 s) lapses, and then somebody looks (every 2 s). */
const STALLED_FROM_MS = 5000;
const STALLED_TO_MS = 7000;

/**
 * What BullMQ keeps in Redis, as a port: jobs by their ids, handed out one by one. A job comes again if its consumer dies or is
 * frozen. What BullMQ itself promises is not simulated, but assumed.
 */
export class JobBoard {
  readonly #queues = new Map<string, { jobs: Map<string, Job>; consumers: Set<Consumer> }>();
  readonly #world: World;
  #locks = 0;

  constructor(world: World) {
    this.#world = world;
  }

  #queue(name: string) {
    const known = this.#queues.get(name) ?? { jobs: new Map<string, Job>(), consumers: new Set<Consumer>() };
    this.#queues.set(name, known);
    return known;
  }

  /** An existing one is left unchanged. */
  add(queue: string, id: string, delayMs = 0, first = false): void {
    const { jobs } = this.#queue(queue);
    if (jobs.has(id)) return;
    const job: Job = { id, state: delayMs > 0 ? "delayed" : "waiting", lock: 0 };
    const rest = first ? [...jobs] : [];
    if (first) jobs.clear();
    jobs.set(id, job);
    for (const [key, value] of rest) jobs.set(key, value);
    if (delayMs > 0)
      this.#world.after(delayMs, "", undefined, () => {
        if (job.state === "delayed") job.state = "waiting";
        this.handOut(queue);
      });
    else this.handOut(queue);
  }

  remove(queue: string, id: string): void {
    this.#queue(queue).jobs.delete(id);
  }

  state(queue: string, id: string): string {
    return this.#queue(queue).jobs.get(id)?.state ?? "unknown";
  }

  counts(queue: string): Record<"waiting" | "active" | "delayed", number> {
    const counts = { waiting: 0, active: 0, delayed: 0 };
    for (const job of this.#queue(queue).jobs.values()) counts[job.state] += 1;
    return counts;
  }

  join(queue: string, consumer: Consumer): void {
    this.#queue(queue).consumers.add(consumer);
    this.handOut(queue);
  }

  leave(queue: string, consumer: Consumer): void {
    this.#queue(queue).consumers.delete(consumer);
  }

  /** Marks it as handed out; answers the lock without which it cannot be finished. */
  take(job: Job): number {
    job.state = "active";
    return (job.lock = this.#locks += 1);
  }

  finish(queue: string, job: Job, lock: number): void {
    if (job.lock === lock && this.#queue(queue).jobs.get(job.id) === job) this.#queue(queue).jobs.delete(job.id);
  }

  /** Its consumer renews its lock no more: it is handed out again after a while. */
  stall(queue: string, job: Job, lock: number): void {
    const ms = this.#world.between("stalled job", STALLED_FROM_MS, STALLED_TO_MS);
    this.#world.after(ms, "", undefined, () => {
      if (job.state !== "active" || job.lock !== lock || this.#queue(queue).jobs.get(job.id) !== job) return;
      this.#world.say(`BullMQ: job ${job.id} has stalled`);
      job.state = "waiting";
      job.lock = 0;
      this.handOut(queue);
    });
  }

  handOut(queue: string): void {
    this.#world.after(0, "", undefined, () => {
      const { jobs, consumers } = this.#queue(queue);
      const ready = [...consumers].filter(({ process }) => process.life !== "dead");
      for (const job of jobs.values()) {
        if (job.state !== "waiting") continue;
        const start = Math.floor(this.#world.roll("which consumer") * ready.length);
        const order = [...ready.slice(start), ...ready.slice(0, start)];
        if (!order.some((consumer) => consumer.process.life === "up" && consumer.offer(job))) break;
      }
    });
  }
}
