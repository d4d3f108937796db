import { countSpans } from "../../shared/metrics/spans.ts";
import { openTracing } from "../../shared/tracing/open-tracer.ts";
import type { Log } from "../../shared/util/log.ts";
import type { WorkerConfig } from "../config/worker-env.ts";
import type { Destination } from "../destinations/routes.ts";
import type { Handler } from "../events/handlers/handler.ts";
import { instanceOf, startCadWorker } from "./cad-worker.ts";
import { createHealthReport, startHealthServer } from "./health-server.ts";
import { createWorkerMetrics } from "./worker-metrics.ts";

export interface Worker {
  /** Port of the worker's /health. */
  port: number;
  /** Rejects if the worker cannot go on: the process is to end, so that another one takes over. */
  failed: Promise<never>;
  /** Takes over other destinations and rules. */
  route(destinations: readonly Destination[]): void;
  /** Called with the number of mistakes when new routes are refused; the log lists them. */
  refuseRoutes(reasons: number): void;
  /** Idempotent: settles or hands back what is in flight, says goodbye, gives the CAD up. Within 10 s. */
  stop(): Promise<void>;
}

export interface WorkerDeps {
  config: WorkerConfig;
  /** Handlers of the CAD's events, beside the built-in ones. */
  handlers?: readonly Handler[];
  /** Where the CAD's events go. */
  destinations?: readonly Destination[];
  random: () => number;
  log: Log;
}

/** A worker for one CAD: it stands by until it holds the lease, leads, and stands by again if it loses the lease. */
export async function startWorker(deps: WorkerDeps): Promise<Worker> {
  const { config, random, log } = deps;
  const instance = instanceOf(config, random);
  const metrics = createWorkerMetrics(() => cad.state());
  const onOutcome = countSpans(metrics);
  const tracing = await openTracing({ config, process: "worker", onOutcome, background: true, log });
  const cad = startCadWorker({ ...deps, instance, measure: metrics, tracer: tracing.tracer });
  const report = createHealthReport();
  const { WORKER_HOST: host, WORKER_PORT: wanted } = config;
  const server = await startHealthServer(host, wanted, () => report(cad.state()), metrics.text);
  const { port } = server;
  log.info({ instance, port }, "the worker has started");
  let stopped: Promise<void> | undefined;
  return {
    port,
    failed: cad.failed,
    route: cad.route,
    refuseRoutes: cad.refuseRoutes,
    stop: () =>
      (stopped ??= (async () => {
        await cad.stop();
        await Promise.all([server.stop(), tracing.stop()]);
        metrics.stop();
        log.info({ instance }, "the worker has stopped");
      })()),
  };
}
