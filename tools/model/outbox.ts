import type { Step } from "./explore.ts";
import type { Mutant } from "./mutants.ts";
import { createScripts, type Scripts } from "./redis.ts";
import { cloneOf, type CommandModel, type Faults, type State, type Task } from "./state.ts";

/** How often a command that sets a value is emitted before it is `unconfirmed`. */
export const MAX_SENDS = 2;
/** The outcomes that a worker may settle with. */
const OUTCOMES = ["confirmed", "relayed", "received", "unconfirmed", "rejected"] as const satisfies Task[];
export type Outcome = (typeof OUTCOMES)[number];
export const isOutcome = (task: Task): task is Outcome => (OUTCOMES as readonly Task[]).includes(task);

export interface Scenario {
  name: string;
  commands: readonly CommandModel[];
  faults: Partial<Faults>;
}

/** What every group of steps knows: the commands of the scenario, the scripts, and the bug that is seeded. */
export interface Outbox {
  commands: readonly CommandModel[];
  ids: readonly number[];
  scripts: Scripts;
  is(mutant: Mutant): boolean;
  nameOf(id: number): string;
  sharesKey(a: number, b: number): boolean;
  /** Where it comes in the order of acceptance: a redrive has the place of its dead letter. */
  placeOf(id: number): number;
}

export function createOutbox(commands: readonly CommandModel[], mutant: Mutant | undefined): Outbox {
  return {
    commands,
    ids: commands.map((_, id) => id),
    scripts: createScripts(commands, mutant),
    is: (m) => mutant === m,
    nameOf: (id) => `#${id + 1} (${commands[id]?.keys.join("+")})`,
    sharesKey: (a, b) => commands[a]?.keys.some((key) => commands[b]?.keys.includes(key)) ?? false,
    placeOf: (id) => commands[id]?.redriveOf ?? id,
  };
}

/** A step that changes a copy of the state. */
export const step = (s: State, label: string, change: (next: State) => string | undefined | void): Step<State> => {
  const next = cloneOf(s);
  const broken = change(next) ?? undefined;
  return { label, fault: false, state: next, ...(broken !== undefined && { broken }) };
};

/** Counts a fault; undefined if it may not strike any more. */
export function struck(s: State, fault: keyof Faults): State | undefined {
  if (s.faults[fault] === 0) return undefined;
  const next = cloneOf(s);
  next.faults[fault] -= 1;
  return next;
}

export const setTask = (n: State, worker: number, id: number, task: Task): void => {
  const tasks = n.workers[worker]?.tasks;
  if (tasks) tasks[id] = task;
};

/** It gives the lease up for lost, and all that it had in hand; Redis still has it for a moment. */
export function standBy(n: State, w: number): void {
  const worker = n.workers[w];
  if (!worker) return;
  worker.epoch = 0;
  worker.tasks = worker.tasks.map(() => "idle");
}

export const fault = (
  s: State,
  kind: keyof Faults,
  label: string,
  change: (next: State) => string | undefined | void,
) => {
  const next = struck(s, kind);
  if (!next) return [];
  const broken = change(next) ?? undefined;
  return [{ label: `FAULT: ${label}`, fault: true, state: next, ...(broken !== undefined && { broken }) }];
};
