import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { Heap } from "./heap.ts";
import { createRoll, type Roll } from "./roll.ts";

/** 2026-01-31T00:00:00Z: where the simulated wall clock begins. */
export const EPOCH_MS = 1_769_817_600_000;

/** One simulated process: everything that it does runs in its own async context, so that the world knows whose it is. */
export interface Process {
  readonly name: string;
  readonly world: World;
  life: "up" | "frozen" | "dead";
  /** What came for it while it was frozen. */
  held: Occurrence[];
  /** Called when it dies: its connections break. */
  onDeath: (() => void)[];
  /** Called when it freezes, with for how long, ms. */
  onFreeze: ((ms: number) => void)[];
}

interface Occurrence {
  at: number;
  seq: number;
  label: string;
  process: Process | undefined;
  run(): void | Promise<void>;
  cancelled?: boolean;
}

/** What can be taken back. */
export interface Scheduled {
  cancel(): void;
}

const context = new AsyncLocalStorage<Process>();
/** Whose code runs now; undefined outside of every simulated process. */
export const currentProcess = (): Process | undefined => context.getStore();

/** The simulated process whose code runs now. Throws outside of one: what would run unobserved would not be repeatable. */
export function theProcess(): Process {
  const process = context.getStore();
  if (!process) throw new Error("this runs in no simulated process");
  return process;
}

/** Bound before anything is replaced. */
const turn = globalThis.setImmediate;
const drained = () => new Promise<void>((resolve) => turn(resolve));

/** A strike that a step is met with: see faults.ts. */
export interface Strike {
  fault: string;
  /** How long what it brings lasts, ms. */
  ms: number;
}

export interface WorldOptions {
  seed: number;
  /** Asked at each step: by its name, and how often it has happened. */
  strikeAt(step: string, nth: number): Strike | undefined;
  /** Called with each line of what happens. */
  onLine?: ((line: string) => void) | undefined;
}

/**
 * Owns time and chance: everything that happens is an occurrence in its queue, and between two of them no code of a simulated
 * process can run.
 */
export class World {
  readonly roll: Roll;
  readonly processes: Process[] = [];
  /** Of a step and a fault: how often it struck there. */
  readonly struck = new Map<string, number>();
  /** How often each step was taken. */
  readonly steps = new Map<string, number>();
  now = 0;
  lines = 0;
  readonly #options: WorldOptions;
  readonly #queue = new Heap<Occurrence>();
  readonly #hash = createHash("sha256");
  #seq = 0;
  #calm = false;
  /** Of the surroundings: Redis, the CAD and the like, each by its class. */
  readonly #parts = new Map<unknown, unknown>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.roll = createRoll(options.seed);
  }

  /** ms since 1970, and microseconds of the same. */
  epochMs = (): number => EPOCH_MS + Math.floor(this.now);
  epochMicros = (): number => EPOCH_MS * 1000 + Math.floor(this.now * 1000);

  /** From now on nothing strikes any more. */
  calmDown(): void {
    this.#calm = true;
  }

  add<T extends object>(part: T): T {
    this.#parts.set(part.constructor, part);
    return part;
  }

  part<T extends object>(kind: abstract new (...args: never[]) => T): T {
    const part = this.#parts.get(kind);
    if (!part) throw new Error(`this world has no ${kind.name}`);
    return part as T;
  }

  say(line: string): void {
    this.lines += 1;
    const text = `${this.now.toFixed(3)} ${line}`;
    this.#hash.update(`${text}\n`);
    this.#options.onLine?.(text);
  }

  /** Of all that was said: the same for the same run. */
  digest(): string {
    return this.#hash.copy().digest("hex");
  }

  /** A number for this purpose, between the two. */
  between(what: string, from: number, to: number): number {
    return from + (to - from) * this.roll(what);
  }

  /** How long something takes on its way, ms: mostly a moment, now and then long enough for others to come first. */
  delay(what: string): number {
    const kind = this.roll(`${what} kind`);
    const part = this.roll(what);
    if (kind < 0.9) return 0.05 + part * 0.75;
    return kind < 0.985 ? 1 + part * 20 : 20 + part * 180;
  }

  /** Notes that a step is taken, and answers what strikes there. */
  step(name: string): Strike | undefined {
    const nth = (this.steps.get(name) ?? 0) + 1;
    this.steps.set(name, nth);
    if (this.#calm) return undefined;
    const strike = this.#options.strikeAt(name, nth);
    if (!strike) return undefined;
    const pair = `${name} × ${strike.fault}`;
    this.struck.set(pair, (this.struck.get(pair) ?? 0) + 1);
    this.say(`FAULT ${strike.fault} at ${name} #${nth} (${Math.round(strike.ms)} ms)`);
    return strike;
  }

  /** @param process whose it is: it waits while that one is frozen, and never happens once it is dead */
  after(ms: number, label: string, process: Process | undefined, run: () => void | Promise<void>): Scheduled {
    const occurrence: Occurrence = { at: this.now + Math.max(0, ms), seq: (this.#seq += 1), label, process, run };
    this.#queue.push(occurrence);
    return { cancel: () => void (occurrence.cancelled = true) };
  }

  /** Runs until `isOver` says so, nothing is left, or the time is up; answers whether it was over. */
  async run(isOver: () => boolean, untilMs: number): Promise<boolean> {
    await drained();
    while (!isOver()) {
      const next = this.#queue.pop();
      if (!next || next.at > untilMs) return false;
      if (next.cancelled) continue;
      const { process } = next;
      if (process?.life === "dead") continue;
      if (process?.life === "frozen") {
        process.held.push(next);
        continue;
      }
      this.now = Math.max(this.now, next.at);
      if (next.label !== "") this.say(next.label);
      const running = process ? context.run(process, next.run) : next.run();
      if (running) await running;
      await drained();
    }
    return true;
  }

  start(name: string, main: () => void): Process {
    const process: Process = { name, world: this, life: "up", held: [], onDeath: [], onFreeze: [] };
    this.processes.push(process);
    this.after(0, `${name} starts`, process, main);
    return process;
  }

  /** kill -9. */
  kill(process: Process): void {
    if (process.life === "dead") return;
    process.life = "dead";
    process.held = [];
    this.say(`${process.name} is killed`);
    for (const end of process.onDeath) end();
  }

  /** SIGSTOP, and SIGCONT after so long. */
  freeze(process: Process, ms: number): void {
    if (process.life !== "up") return;
    process.life = "frozen";
    this.say(`${process.name} freezes`);
    for (const note of process.onFreeze) note(ms);
    this.after(ms, "", undefined, () => this.thaw(process));
  }

  thaw(process: Process): void {
    if (process.life !== "frozen") return;
    process.life = "up";
    this.say(`${process.name} thaws`);
    const { held } = process;
    process.held = [];
    for (const each of held.toSorted((a, b) => a.at - b.at || a.seq - b.seq)) {
      each.at = this.now;
      each.seq = this.#seq += 1;
      this.#queue.push(each);
    }
  }
}
