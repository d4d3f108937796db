/** A target, as a minimum or a maximum. */
export interface Goal {
  atLeast?: number;
  atMost?: number;
}

export interface GoalResult {
  measured: number | undefined;
  target: number | undefined;
  /** Measured divided by target. */
  ratio: number | undefined;
  verdict: string;
}

/** Compares a number with its goal. A number that could not be measured neither reaches nor misses it. */
export function compareWithGoal(measured: number | undefined, goal: Goal = {}): GoalResult {
  const target = goal.atLeast ?? goal.atMost;
  if (measured === undefined) return { measured, target, ratio: undefined, verdict: "not measured" };
  if (target === undefined) return { measured, target, ratio: undefined, verdict: "" };
  const short = goal.atLeast === undefined ? measured - target : target - measured;
  const verdict = short <= 0 ? "reached" : `missed by ${Math.max(1, Math.round((100 * short) / target))} %`;
  return { measured, target, ratio: measured / target, verdict };
}
