import { problemFlags } from "../../shared/metrics/problem-flags.ts";
import { createProcessMetrics, type ProcessMetrics } from "../../shared/metrics/process-metrics.ts";
import { type OwnState, ownProblems } from "./health-server.ts";

/** What a worker process measures; `state` is asked at each scrape. */
export const createWorkerMetrics = (state: () => OwnState): ProcessMetrics =>
  createProcessMetrics("worker", {
    socket_bridge_problem: () => problemFlags(ownProblems(state())),
    socket_bridge_worker_leader: () => [{ value: state().role === "owner" ? 1 : 0 }],
  });
