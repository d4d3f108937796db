import type { Redis } from "ioredis";
import { checkRedis, redisProblem } from "../../shared/health/check-redis.ts";
import { type Found, found } from "../../shared/health/problems.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { closeRedis, connectRedis, explain } from "../../shared/redis/redis.ts";
import type { Measure } from "../../shared/metrics/measure.ts";
import type { Log } from "../../shared/util/log.ts";
import { faultReason, redisFault } from "../../shared/redis/fault.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { cadClaim } from "../../shared/redis/store-identity.ts";
import type { Tracer } from "../../shared/tracing/tracer.ts";
import { openSealer } from "../../shared/sealing/open-sealer.ts";
import type { WorkerConfig } from "../config/worker-env.ts";
import type { Handler } from "../events/handlers/handler.ts";
import type { Destination } from "../destinations/routes.ts";
import type { OwnState } from "./health-server.ts";
import { acquireLease } from "./lease.ts";
import { announcePresence } from "./presence.ts";
import { createStoreGuard } from "./store-guard.ts";
import { startLeader } from "./leader.ts";
import { createLeadership, type TermStart } from "./leadership.ts";

/** How soon Redis is looked at again if it did not answer, ms. */
const CHECK_AGAIN_MS = 5000;
const PING_MS = 5000;
/** Redis is asked about the lease at least every second. After this time without a reply it counts as unavailable, ms. */
const REDIS_HEARD_MS = 3000;

/** What a worker does for one CAD. */
export interface CadWorker {
  state(): OwnState;
  /** Rejects if the worker cannot continue: the process is to end, so that another one takes over. */
  failed: Promise<never>;
  /** Hands the CAD over to another worker: settles what is in flight, gives the lease up and stands by again. */
  handOver(): void;
  /** Takes over other destinations and rules. */
  route(destinations: readonly Destination[]): void;
  /** Called with the number of mistakes when new routes are refused; the log lists them. */
  refuseRoutes(reasons: number): void;
  /** Idempotent: settles or hands back what is in flight, writes the last heartbeat, releases the lease. Within 10 s. */
  stop(): Promise<void>;
}

export interface CadWorkerDeps {
  config: WorkerConfig;
  /** Handlers of the CAD's events, beside the built-in ones. */
  handlers?: readonly Handler[];
  /** Where the CAD's events go. */
  destinations?: readonly Destination[];
  instance: string;
  measure: Measure;
  tracer?: Tracer;
  /** Waits until this worker is to ask for the lease; absent: it always is. See LeaseOptions. */
  turn?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** What is wrong with this CAD beside what the leader finds. */
  problems?: () => readonly Found[];
  /** The lease was given up. */
  released?: (() => void) | undefined;
  random: () => number;
  log: Log;
}

/** The name of a worker that has none in its configuration. */
export const instanceOf = (config: Pick<WorkerConfig, "WORKER_INSTANCE">, random: () => number): string =>
  config.WORKER_INSTANCE ?? `worker-${Math.floor(random() * 36 ** 8).toString(36)}`;

/** Stands by until it holds the CAD's lease, leads, and stands by again if it loses the lease or hands it over. */
export function startCadWorker(deps: CadWorkerDeps): CadWorker {
  const { config, handlers = [], instance, measure, random, log } = deps;
  let { destinations = [] } = deps;
  let routesRefused: Found[] = [];
  const keys = outboxKeys(config.REDIS_PREFIX);
  const sealer = openSealer(config, log);
  const redis = connectRedis(config, "worker", log);
  const connectQueue = () => connectRedis(config, "queue", log);
  const control = connectRedis(config, "worker", log);
  const store = createStoreGuard(cadClaim(config), () => crypto.randomUUID(), Date.now, log);
  const stopping = new AbortController();
  const failed = Promise.withResolvers<never>();
  let redisAnswered = -Infinity;
  let redisAnsweredAt: Date | undefined;
  /** Why Redis refuses what the lease needs, if that does not pass by itself. */
  let redisFaults: Found[] = [];
  const onFault = (error: unknown) => {
    const problem = redisProblem(explain(redis, error));
    const [before] = redisFaults;
    if (problem.code === "redis-unavailable") return;
    if (before?.message !== problem.message) log.error({ code: problem.code, reason: problem.message }, problem.hint);
    redisFaults = [problem];
  };
  const refusedStore = () => {
    const [other, newer] = [store.otherCad(), store.newer()];
    return [...(other ? [found("wrong-cad", other)] : []), ...(newer ? [found("store-newer", newer)] : [])];
  };
  const emptied = () => {
    const since = store.lostAt();
    return since === undefined ? [] : [found("redis-emptied", {}, { since })];
  };
  const onAnswer = () => {
    redisFaults = [];
    redisAnswered = performance.now();
    redisAnsweredAt = new Date();
  };

  const cannotHear = (error: unknown) => {
    if (redisFault(error) !== "refused") return;
    const reason = faultReason(error);
    log.error(
      { code: "redis-refused", reason },
      "reconnect requests cannot be received: Redis refuses the subscription",
    );
  };
  // On every new connection, so that an outage of Redis costs no subscription.
  control.on("ready", () => void control.subscribe(keys.controlChannel, keys.readyChannel).catch(cannotHear));
  // A subscription sends nothing by itself: a periodic ping shows whether its connection is alive.
  const pinging = setInterval(() => void control.ping().catch(() => undefined), PING_MS);

  const leadership = createLeadership({ instance, signal: stopping.signal, log });
  const ownState = (): OwnState => ({
    instance,
    role: leadership.leader() ? "owner" : "standby",
    redis: performance.now() - redisAnswered < REDIS_HEARD_MS,
    redisAnswered: redisAnsweredAt,
    health: leadership.leader()?.health(),
    more: [...redisFaults, ...refusedStore(), ...(leadership.leader() ? [] : routesRefused)],
  });
  const term: TermStart = {
    acquire: () =>
      acquireLease({ redis, keys, instance, store, signal: stopping.signal, onAnswer, onFault, turn: deps.turn, log }),
    lead: (lease) =>
      startLeader({
        config,
        destinations,
        instance,
        redis,
        connectQueue,
        keys,
        sealer,
        lease,
        handlers,
        onWedged: () => failed.reject(new Error("no jobs received from the queue, even on a new connection")),
        problems: [emptied, () => routesRefused, ...(deps.problems ? [deps.problems] : [])],
        measure,
        ...(deps.tracer && { tracer: deps.tracer }),
        random,
        log,
      }),
    released: deps.released,
  };
  control.on("message", (channel, message) => {
    if (channel === keys.readyChannel) leadership.leader()?.wake();
    else if (message === "reconnect") leadership.leader()?.reconnect();
  });

  const checking = warnOfRedis(redis, stopping.signal, log);
  const announcing = announcePresence(redis, keys, instance, stopping.signal);
  const running = leadership.run(term).catch((error: unknown) => failed.reject(error));

  let stopped: Promise<void> | undefined;
  return {
    state: ownState,
    failed: failed.promise,
    handOver: leadership.handOver,
    route(next) {
      routesRefused = [];
      destinations = next;
      leadership.leader()?.route(next);
    },
    refuseRoutes(count) {
      const since = new Date(routesRefused[0]?.since ?? Date.now());
      routesRefused = [found("routes-refused", { count }, { since, count })];
    },
    stop: () =>
      (stopped ??= (async () => {
        stopping.abort();
        await Promise.all([running, checking, announcing]);
        clearInterval(pinging);
        await Promise.all([redis, control].map(closeRedis));
      })()),
  };
}

/** Logs at the start what is unsafe about Redis; `npm run doctor` finds the same at any time. */
async function warnOfRedis(redis: Redis, signal: AbortSignal, log: Log): Promise<void> {
  while (!signal.aborted) {
    const findings = await checkRedis(redis).catch(() => undefined);
    for (const finding of findings ?? [])
      if (!finding.ok) {
        const { code, message, hint } = finding.problem;
        log.warn({ code, what: message, hint }, "Redis is not configured safely");
      }
    if (findings) return;
    await sleep(CHECK_AGAIN_MS, signal);
  }
}
