import { problemFlags } from "../../shared/metrics/problem-flags.ts";
import { type Asked, createProcessMetrics, type ProcessMetrics } from "../../shared/metrics/process-metrics.ts";
import { type OwnState, ownProblems } from "./health-server.ts";

const ofCad = (state: () => OwnState): Asked => ({
  socket_bridge_problem: () => problemFlags(ownProblems(state())),
  socket_bridge_worker_leader: () => [{ value: state().role === "owner" ? 1 : 0 }],
});

/** What a worker process for one CAD measures; `state` is asked at each scrape. */
export const createWorkerMetrics = (state: () => OwnState): ProcessMetrics =>
  createProcessMetrics("worker", ofCad(state));

/** What a worker process for several CADs measures of one of them. */
export const createCadMetrics = (state: () => OwnState): ProcessMetrics =>
  createProcessMetrics("worker", ofCad(state), "cad");
