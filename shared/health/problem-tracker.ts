import { type Found, type Problem, problemId } from "./problems.ts";

/** How long a problem of an earlier process counts as the same one, ms: some take a while to be detected again. */
const INHERITED_MS = 60_000;

/** Knows since when each problem exists. */
export interface ProblemTracker {
  /** Reports all current problems. */
  follow(now: readonly Found[]): Problem[];
  /** Takes over the problems of an earlier process: those that still exist keep their start. */
  inherit(earlier: readonly Problem[]): void;
}

/**
 * @param clock ms since 1970
 * @param forgetMs after this time without a report, a problem counts as new
 */
export function createProblemTracker(clock: () => number, forgetMs = Infinity): ProblemTracker {
  const inheritUntil = clock() + INHERITED_MS;
  /** Start times of the current problems, by id. */
  let since = new Map<string, string>();
  let inherited = new Map<string, string>();
  let lastLook = clock();

  function beginningOf(there: Found): string {
    const id = problemId(there);
    const here = there.since ?? since.get(id) ?? new Date(clock()).toISOString();
    const before = inherited.get(id);
    return before !== undefined && before < here ? before : here;
  }

  return {
    inherit(earlier) {
      inherited = new Map(earlier.map((p) => [problemId(p), p.since]));
    },
    follow(now) {
      if (clock() - lastLook > forgetMs) since = new Map();
      lastLook = clock();
      const problems = now.map((there): Problem => ({ ...there, since: beginningOf(there) }));
      const ids = new Set(now.map(problemId));
      // Resolved: if it occurs again, it is a new problem.
      for (const id of since.keys()) if (!ids.has(id)) inherited.delete(id);
      if (clock() > inheritUntil) for (const id of inherited.keys()) if (!ids.has(id)) inherited.delete(id);
      since = new Map(problems.map((p) => [problemId(p), p.since]));
      return problems;
    },
  };
}
