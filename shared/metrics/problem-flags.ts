import type { Found } from "../health/problems.ts";
import { METRICS } from "./table.ts";

/** 0 or 1 for every code, so that an alert resolves as well as fires. */
export function problemFlags(there: readonly Pick<Found, "code">[]): { labels: { code: string }; value: number }[] {
  const codes = new Set(there.map(({ code }) => code));
  return METRICS.socket_bridge_problem.labels.code.map((code) => ({
    labels: { code },
    value: codes.has(code) ? 1 : 0,
  }));
}
