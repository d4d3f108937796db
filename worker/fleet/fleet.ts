import { mergeExpositions } from "../../shared/metrics/merge.ts";
import { createProcessMetrics } from "../../shared/metrics/process-metrics.ts";
import { countSpans } from "../../shared/metrics/spans.ts";
import { openTracing } from "../../shared/tracing/open-tracer.ts";
import { cadsKeys } from "../../shared/cads/keys.ts";
import { statusOfSeveral } from "../../shared/health/problems.ts";
import { openMoves } from "../../shared/moves/moves.ts";
import { openSealer } from "../../shared/sealing/open-sealer.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { closeRedis, connectRedis } from "../../shared/redis/redis.ts";
import { withFields } from "../../shared/util/log-fields.ts";
import type { Log } from "../../shared/util/log.ts";
import { withDeadline } from "../../shared/util/sleep.ts";
import { type CadWorker, instanceOf, startCadWorker } from "../runtime/cad-worker.ts";
import { createHealthReport, type HealthReport, startHealthServer } from "../runtime/health-server.ts";
import type { Worker } from "../runtime/lifecycle.ts";
import { createCadMetrics } from "../runtime/worker-metrics.ts";
import type { CadSettings, FleetConfig } from "./load.ts";
import { openWorkers } from "./presence.ts";
import { createMover } from "./mover.ts";
import { createTurns } from "./turns.ts";

const LOOK_MS = 1000;

export interface FleetDeps {
  config: FleetConfig;
  cads: readonly CadSettings[];
  random: () => number;
  log: Log;
}

/** A worker for several CADs: it leads its share of them and stands by for all the others. */
export async function startFleet({
  config,
  cads,
  random,
  log,
}: FleetDeps): Promise<Omit<Worker, "route" | "refuseRoutes">> {
  const instance = instanceOf(config, random);
  const keys = cadsKeys(config.REDIS_PREFIX);
  const stopping = new AbortController();
  const redis = connectRedis(config, "worker", log);
  const control = connectRedis(config, "worker", log);
  const workers = openWorkers(redis, keys, instance);
  const leases = cads.map(({ id, config: own }) => [id, outboxKeys(own.REDIS_PREFIX).lease] as const);

  async function owners(): Promise<Map<string, string>> {
    const found = await withDeadline(
      Promise.all(leases.map(([, lease]) => redis.get(lease))),
      LOOK_MS,
      "reading leases",
    );
    return new Map(leases.flatMap(([id], i) => (found[i] ? [[id, ownerOf(found[i])]] : [])));
  }
  const turns = createTurns({
    cads: cads.map(({ id }) => id),
    me: instance,
    async look() {
      const [live, held] = await Promise.all([workers.announce(), owners()]);
      return { workers: live, owners: held };
    },
    handOver: (cad) => running.get(cad)?.worker.handOver(),
    now: () => performance.now(),
    signal: stopping.signal,
    log,
  });
  control.on("ready", () => void control.subscribe(keys.releasedChannel).catch(() => undefined));
  control.on("message", turns.lookNow);
  const sayReleased = () => void redis.publish(keys.releasedChannel, instance).catch(() => undefined);

  const processMetrics = createProcessMetrics("worker", {}, "process");
  const onOutcome = countSpans(processMetrics);
  const tracing = await openTracing({ config, process: "worker", onOutcome, background: true, log });
  const { tracer } = tracing;
  const prefixes = new Map(cads.map(({ id, config: own }) => [id, own.REDIS_PREFIX]));
  const moves = openMoves(redis, config.REDIS_PREFIX, openSealer(config, log), prefixes);
  const mover = createMover({ moves, now: () => new Date(), signal: stopping.signal, log });

  const running = new Map(
    cads.map(({ id, config: own, destinations }) => {
      const metrics = createCadMetrics(() => worker.state());
      const worker: CadWorker = startCadWorker({
        config: own,
        destinations,
        instance,
        measure: metrics,
        tracer,
        turn: (signal) => turns.turn(id, signal),
        released: sayReleased,
        problems: () => mover.problems(id),
        random,
        log: withFields(log, { cad: id }),
      });
      return [id, { worker, metrics, report: createHealthReport() }] as const;
    }),
  );
  const each = [...running];
  async function metricsText(): Promise<string> {
    const texts = await Promise.all(
      each.map(async ([cad, { metrics }]) => ({ labels: { cad }, text: await metrics.text() })),
    );
    return mergeExpositions([{ labels: {}, text: await processMetrics.text() }, ...texts]);
  }
  function report(): HealthReport {
    const reports = each.map(([id, { worker, report: of }]) => [id, of(worker.state())] as const);
    const status = statusOfSeveral(reports.map(([, { body }]) => body.status));
    const bodies = Object.fromEntries(reports.map(([id, { body }]) => [id, body]));
    return { ok: reports.some(([, { ok }]) => ok), body: { status, instance, cads: bodies } };
  }
  const server = await startHealthServer(config.WORKER_HOST, config.WORKER_PORT, report, metricsText);
  const sharing = Promise.all([turns.run(), mover.run()]);
  log.info({ instance, port: server.port, cads: cads.length }, "the worker has started");

  let stopped: Promise<void> | undefined;
  async function stop(): Promise<void> {
    stopping.abort();
    // A look that was under way may announce it once more.
    const left = Promise.all([workers.leave(), sharing]).then(() => workers.leave());
    await Promise.all([left, ...each.map(([, { worker }]) => worker.stop())]);
    await Promise.all([server.stop(), tracing.stop()]);
    processMetrics.stop();
    await Promise.all([redis, control].map(closeRedis));
    log.info({ instance }, "the worker has stopped");
  }
  return {
    port: server.port,
    failed: Promise.race(each.map(([, { worker }]) => worker.failed)),
    stop: () => (stopped ??= stop()),
  };
}

/** A lease holds `epoch:instance`. */
const ownerOf = (token: string): string => token.slice(token.indexOf(":") + 1);
