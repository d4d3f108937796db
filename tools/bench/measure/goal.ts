/** A number to reach, and whether more or less is better. */
export interface Goal {
  atLeast?: number;
  atMost?: number;
}

export interface Judged {
  measured: number | undefined;
  target: number | undefined;
  /** Measured through target. */
  ratio: number | undefined;
  verdict: string;
}

/** Holds a number against its goal. A number that could not be measured reaches nothing and misses nothing. */
export function judge(measured: number | undefined, goal: Goal = {}): Judged {
  const target = goal.atLeast ?? goal.atMost;
  if (measured === undefined) return { measured, target, ratio: undefined, verdict: "not measured" };
  if (target === undefined) return { measured, target, ratio: undefined, verdict: "" };
  const short = goal.atLeast === undefined ? measured - target : target - measured;
  const verdict = short <= 0 ? "reached" : `missed by ${Math.max(1, Math.round((100 * short) / target))} %`;
  return { measured, target, ratio: measured / target, verdict };
}
