import { type Problem, problemId } from "../../shared/health/problems.ts";
import type { Change } from "./page-store.ts";

/** After a take-over, some problems take a while to be detected again: factor by which they are kept open longer. */
const GRACE = 6;

/** Since when each problem that was reported as open is not there any more, ms since 1970. */
export type Absent = ReadonlyMap<string, number>;

export interface Look {
  present: readonly Problem[];
  open: readonly Problem[];
  absent: Absent;
  now: number;
  /** When this worker began to lead. */
  ledSince: number;
  /** How long a problem has to be there, or be gone, before that is reported, ms. */
  afterMs: number;
}

/** What is to be reported now. A pure function: a short hiccup is none of it. */
export function changesOf({ present, open, absent, now, ledSince, afterMs }: Look): {
  changes: Change[];
  absent: Absent;
} {
  const there = new Set(present.map(problemId));
  const reported = new Set(open.map(problemId));
  const gone = open.filter((p) => !there.has(problemId(p)));
  const since = new Map(gone.map((p) => [problemId(p), absent.get(problemId(p)) ?? now]));
  const opened = present.filter((p) => !reported.has(problemId(p)) && now - begunAt(p) >= afterMs);
  const isInherited = (p: Problem) => begunAt(p) < ledSince;
  const resolved = gone.filter((p) => {
    const waited = now - (since.get(problemId(p)) ?? now);
    return waited >= afterMs && (!isInherited(p) || now - ledSince >= GRACE * afterMs);
  });
  return {
    changes: [
      ...opened.map((problem) => ({ kind: "opened" as const, problem })),
      ...resolved.map((problem) => ({ kind: "resolved" as const, problem })),
    ],
    absent: since,
  };
}

const begunAt = ({ since }: Problem): number => Date.parse(since);
