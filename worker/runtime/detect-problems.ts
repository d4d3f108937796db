import { type Found, found } from "../../shared/health/problems.ts";
import { loadProblems } from "../../shared/health/destination-problems.ts";
import type { DestinationReport } from "../../shared/destinations/store.ts";
import type { Unanswered, Unechoed } from "../admission/unanswered.ts";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";

/** What the detection goes by, beside what the worker reports anyway. */
export interface Detected {
  report: Pick<WorkerHealth, "ready" | "last_error" | "disconnected_since" | "handlers" | "destinations">;
  /** Whether the CAD is connected, authenticated and answering. */
  connectionReady: boolean;
  /** The CAD breaks the connection over whatever it is sent. */
  breaksConnection: boolean;
  unanswered: Unanswered | undefined;
  unechoed: readonly Unechoed[];
  /** Why some commands wait although the CAD is ready. */
  payloads: string | undefined;
  /** Why the audit trail is not chained on. */
  audit: string | undefined;
}

/** All that is wrong with a worker that owns the CAD, the most important first. */
export const detectProblems = (state: Detected): Found[] => [
  ...ofConnection(state),
  ...state.unechoed.map(({ event, since, count }) =>
    found(
      "event-never-echoed",
      { event, setting: settingFor([event]) },
      { about: event, since: new Date(since), count },
    ),
  ),
  ...(state.payloads === undefined ? [] : [found("payload-key-missing", { reason: state.payloads })]),
  ...state.report.destinations.flatMap(ofDestination),
  ...state.report.handlers.flatMap(({ handler, reading_problem: reason }) =>
    reason === null ? [] : [found("handler-stalled", { handler, reason }, { about: handler })],
  ),
  ...(state.audit === undefined ? [] : [found("audit-chain-broken", { reason: state.audit })]),
];

function ofConnection({ report, connectionReady, breaksConnection, unanswered }: Detected): Found[] {
  const { last_error: error, disconnected_since: since } = report;
  if (!connectionReady) return [found("cad-disconnected", error === null ? {} : { reason: error }, { since })];
  if (breaksConnection) return [found("cad-breaks-connection", {})];
  return unanswered ? [notConfirming(unanswered)] : [];
}

function notConfirming({ scope, since, events, neverEchoed }: Unanswered): Found {
  const missed = Object.entries(events);
  const params = {
    events: missed.map(([event, count]) => `${count} ${event}`).join(", "),
    ofCallers: scope === "callers",
    ...(neverEchoed.length > 0 && { setting: settingFor(neverEchoed) }),
  };
  const count = missed.reduce((sum, [, n]) => sum + n, 0);
  return found("cad-not-confirming", params, { since: new Date(since), count });
}

const settingFor = (events: readonly string[]): string =>
  `CAD_CONFIRM=auto,${events.map((event) => `${event}=barrier`).join(",")}`;

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
