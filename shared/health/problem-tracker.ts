import { type Found, type Problem, problemId } from "./problems.ts";

/** For how long a problem that an earlier process left counts as still the same, ms: some take a while to be detected again. */
const INHERITED_MS = 60_000;

/** Knows since when each problem is there. */
export interface ProblemTracker {
  /** These are all that there are now. */
  follow(now: readonly Found[]): Problem[];
  /** What an earlier process knew: a problem that is still there keeps its beginning. */
  inherit(earlier: readonly Problem[]): void;
}

/**
 * @param clock ms since 1970
 * @param forgetMs a problem that was not looked for during this time is a new one
 */
export function createProblemTracker(clock: () => number, forgetMs = Infinity): ProblemTracker {
  const inheritUntil = clock() + INHERITED_MS;
  /** Of those that are there, by their id. */
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
      // Resolved: if it opens again, that is another one.
      for (const id of since.keys()) if (!ids.has(id)) inherited.delete(id);
      if (clock() > inheritUntil) for (const id of inherited.keys()) if (!ids.has(id)) inherited.delete(id);
      since = new Map(problems.map((p) => [problemId(p), p.since]));
      return problems;
    },
  };
}
