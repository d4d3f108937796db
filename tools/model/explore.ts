/** An explicit-state checker: visits every reachable state breadth first, so that a counterexample is a shortest one. */

export interface Step<State> {
  /** Who does what, as a line of the trace. */
  label: string;
  /** A fault strikes: nothing may depend on its happening. */
  fault: boolean;
  state: State;
  /** The rule that this very step breaks. */
  broken?: string | undefined;
}

export interface Model<State> {
  initial: State;
  steps(state: State): Iterable<Step<State>>;
  /** Equal for equal states, different for others. */
  keyOf(state: State): string;
  /** The rule that a state breaks; undefined if it breaks none. */
  check(state: State): string | undefined;
  /** Everything that was accepted is final. */
  isGoal(state: State): boolean;
}

export interface Counterexample {
  broken: string;
  /** From the first step to the one that broke the rule. */
  trace: string[];
}

export interface Explored {
  states: number;
  steps: number;
  /** The longest of the shortest ways to a state. */
  depth: number;
  /** From any state, so many steps without a fault lead to the goal at most. */
  recovery: number;
  counterexample: Counterexample | undefined;
}

interface Node {
  parent: number;
  label: string;
  depth: number;
}

/** A model that cannot be exhausted proves nothing. */
export class TooManyStates extends Error {
  override name = "TooManyStates";
}

/** @param maxStates an exploration that would visit more throws TooManyStates */
export function explore<State>(model: Model<State>, maxStates: number): Explored {
  const ids = new Map<string, number>();
  const nodes: Node[] = [];
  const queue: State[] = [];
  /** By which states each can be reached without a fault. */
  const before: number[][] = [];
  const goals: number[] = [];
  let steps = 0;

  const traceTo = (id: number): string[] => {
    const trace: string[] = [];
    for (let at = id; at > 0; at = nodes[at]?.parent ?? 0) trace.unshift(nodes[at]?.label ?? "");
    return trace;
  };
  const result = (counterexample?: Counterexample, recovery = 0): Explored => ({
    states: nodes.length,
    steps,
    depth: nodes.reduce((deepest, { depth }) => Math.max(deepest, depth), 0),
    recovery,
    counterexample,
  });

  function visit(state: State, parent: number, label: string): number {
    const key = model.keyOf(state);
    const known = ids.get(key);
    if (known !== undefined) return known;
    const id = nodes.length;
    if (id >= maxStates) throw new TooManyStates(`more than ${maxStates} states: make the scenario smaller`);
    ids.set(key, id);
    nodes.push({ parent, label, depth: (nodes[parent]?.depth ?? -1) + 1 });
    before.push([]);
    queue.push(state);
    if (model.isGoal(state)) goals.push(id);
    return id;
  }

  visit(model.initial, 0, "");
  for (let id = 0; id < queue.length; id += 1) {
    const state = queue[id] as State;
    // The queue only grows: what was visited need not be kept.
    queue[id] = undefined as State;
    const broken = model.check(state);
    if (broken !== undefined) return result({ broken, trace: traceTo(id) });
    for (const step of model.steps(state)) {
      steps += 1;
      if (step.broken !== undefined) return result({ broken: step.broken, trace: [...traceTo(id), step.label] });
      const next = visit(step.state, id, step.label);
      if (!step.fault && next !== id) before[next]?.push(id);
    }
  }
  const { stuck, farthest } = waysToGoal(before, goals);
  if (stuck === undefined) return result(undefined, farthest);
  return result({ broken: "a command never becomes final, although no fault strikes any more", trace: traceTo(stuck) });
}

/**
 * Every state must have a way to a goal without a fault. Answers the first in breadth-first order that has none, and how long the
 * longest of the shortest ways is.
 */
function waysToGoal(
  before: readonly number[][],
  goals: readonly number[],
): { stuck: number | undefined; farthest: number } {
  const distance = new Int32Array(before.length).fill(-1);
  const open = [...goals];
  for (const goal of goals) distance[goal] = 0;
  let farthest = 0;
  for (let i = 0; i < open.length; i += 1) {
    const id = open[i] as number;
    farthest = distance[id] as number;
    for (const earlier of before[id] ?? []) {
      if (distance[earlier] !== -1) continue;
      distance[earlier] = farthest + 1;
      open.push(earlier);
    }
  }
  const stuck = distance.indexOf(-1);
  return { stuck: stuck < 0 ? undefined : stuck, farthest };
}
