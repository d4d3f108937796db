import { type Found, found } from "../../shared/health/problems.ts";
import { loadProblems } from "../../shared/health/destination-problems.ts";
import type { DestinationReport } from "../../shared/destinations/store.ts";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";

/** What the detection goes by, beside what the worker reports anyway. */
export interface Detected {
  report: Pick<WorkerHealth, "ready" | "last_error" | "disconnected_since" | "handlers" | "destinations">;
  /** Whether the CAD is connected, authenticated and answering. */
  connectionReady: boolean;
  /** Why the circuit breaker is open, while the connection is ready. */
  breaker: "unconfirmed" | "poison" | undefined;
  /** Why some commands wait although the CAD is ready. */
  payloads: string | undefined;
  /** Why the audit trail is not chained on. */
  audit: string | undefined;
}

/** All that is wrong with a worker that owns the CAD, the most important first. */
export const detectProblems = (state: Detected): Found[] => [
  ...ofConnection(state),
  ...(state.payloads === undefined ? [] : [found("payload-key-missing", { reason: state.payloads })]),
  ...state.report.destinations.flatMap(ofDestination),
  ...state.report.handlers.flatMap(({ handler, reading_problem: reason }) =>
    reason === null ? [] : [found("handler-stalled", { handler, reason }, { about: handler })],
  ),
  ...(state.audit === undefined ? [] : [found("audit-chain-broken", { reason: state.audit })]),
];

function ofConnection({ report, connectionReady, breaker }: Detected): Found[] {
  const { last_error: error, disconnected_since: since } = report;
  if (!connectionReady) return [found("cad-disconnected", error === null ? {} : { reason: error }, { since })];
  if (breaker === undefined) return [];
  return [found(breaker === "poison" ? "cad-breaks-connection" : "cad-not-confirming", {})];
}

const OF_STATE = {
  paused: "destination-paused",
  disabled: "destination-disabled",
  removed: "destination-removed",
} as const;

function ofDestination({ id, state, since, until, reason, payload_problem: key, load }: DestinationReport): Found[] {
  const why = reason ?? "it is not known why";
  const because = { destination: id, reason: until === null ? why : `${why}; the next attempt is at ${until}` };
  return [
    ...(state === "ok" ? [] : [found(OF_STATE[state], because, { about: id, since, count: load?.waiting })]),
    ...(load === null ? [] : loadProblems(id, load, Date.now())),
    ...(key === null ? [] : [found("destination-key-missing", { destination: id, reason: key }, { about: id })]),
  ];
}
