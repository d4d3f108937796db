import { z } from "zod";
import { type Found, found, type Problem, problem, statusOf } from "../../shared/health/problems.ts";
import { heldProblems } from "../../shared/health/held-problems.ts";
import { MOST_BEHIND } from "../../shared/outbox/backlog.ts";
import { doubtProblem } from "../../shared/health/heartbeat.ts";
import { redisProblem } from "../../shared/health/check-redis.ts";
import { HEARTBEAT_LIMIT_S, type WorkerHealth, workerHealth } from "../../shared/health/worker-health.ts";
import { type Micros, secondsBetween } from "../../shared/util/time.ts";
import type { Backend } from "../backend/backend.ts";
import {
  trustedHeartbeat,
  type CommandBacklog,
  type ReadHeartbeat,
  type LastHeartbeat,
} from "../backend/health-calls.ts";

/**
 * A runnable command untouched for this long plus the confirmation timeout, while the CAD was ready, means that the worker
 * does not consume. Longer than the longest retry delay of a command (15 s).
 */
const NEGLECT_LIMIT_S = 30;

const seconds = z.number().nullable();
const known = <S extends z.ZodType>(value: S) => value.nullable().meta({ description: "null if it is unknown." });
export const health = z.object({
  status: z.enum(["healthy", "degraded", "unhealthy"]).meta({
    description:
      "`healthy`: commands are delivered. `degraded`: something is waiting or stalled. `unhealthy`: commands are not delivered, or not accepted. `problems` lists the reasons.",
  }),
  problems: z.array(problem).meta({ description: "Current problems, the most important first." }),
  bridge: workerHealth
    .pick({
      connected: true,
      cad_url: true,
      last_connection: true,
      connection_attempts: true,
      disconnected_since: true,
      transport: true,
      last_error: true,
      event_handlers_registered: true,
      uptime_seconds: true,
      uptime_percent_24h: true,
      uptime_percent_30d: true,
      ready: true,
      authenticated: true,
    })
    .extend({
      cad_url: z.string().nullable(),
      connected: known(z.boolean()),
      ready: known(z.boolean()),
      authenticated: known(z.boolean()),
      connection_attempts: known(z.number()),
      event_handlers_registered: known(z.number()),
      uptime_seconds: known(z.number()),
    })
    .meta({
      description: "The connection to the CAD, as the worker last reported it.",
    }),
  backlog: z
    .object({
      unsettled: z.int(),
      oldest_unsettled_age_seconds: seconds,
      oldest_neglected_age_seconds: seconds.meta({
        description: "Longest time for which a command that could be sent was not processed, s.",
      }),
      dead_letters: z.int(),
      held_dead_letters: z.int().meta({ description: "The ones that hold their place (HOLD)." }),
      held_back: z.int().meta({ description: `Commands that wait behind them; a lower bound above ${MOST_BEHIND}.` }),
    })
    .nullable()
    .meta({ description: "null if Redis cannot be reached." }),
  worker: z.object({ heartbeat_age_seconds: seconds, instance: z.string().nullable(), epoch: z.number().nullable() }),
  timestamp: z.string(),
});
export type Health = z.infer<typeof health>;

/** The CAD connection when no worker has reported it. */
const UNHEARD: Health["bridge"] = {
  connected: false,
  cad_url: null,
  last_connection: null,
  connection_attempts: 0,
  disconnected_since: null,
  transport: null,
  last_error: null,
  event_handlers_registered: 0,
  uptime_seconds: 0,
  uptime_percent_24h: null,
  uptime_percent_30d: null,
  ready: false,
  authenticated: false,
};

/** Everything is unknown without Redis. */
const UNKNOWN: Health["bridge"] = {
  ...UNHEARD,
  connected: null,
  connection_attempts: null,
  event_handlers_registered: null,
  uptime_seconds: null,
  ready: null,
  authenticated: null,
};

const pickBridge = (worker: WorkerHealth) => ({
  cad_url: worker.cad_url,
  last_connection: worker.last_connection,
  connection_attempts: worker.connection_attempts,
  disconnected_since: worker.disconnected_since,
  transport: worker.transport,
  last_error: worker.last_error,
  event_handlers_registered: worker.event_handlers_registered,
  uptime_seconds: worker.uptime_seconds,
});

/** If health is read less often than this, a problem without a known start begins at the time of the read, ms. */
export const FORGET_PROBLEMS_MS = 300_000;

/** Adds the start time to each problem: see ProblemTracker. */
export type Follow = (now: readonly Found[]) => Problem[];

/** Checks everything. Never throws: an unreachable Redis is reported too. */
export async function lookAtHealth(
  backend: Pick<Backend, "lastHeartbeat" | "backlog">,
  now: () => Date,
  follow: Follow,
): Promise<Health> {
  const timestamp = now().toISOString();
  try {
    const [heartbeat, backlog] = await Promise.all([backend.lastHeartbeat(), backend.backlog()]);
    return assessHealth(heartbeat, backlog, timestamp, follow);
  } catch (error) {
    return healthWithoutRedis(error, timestamp, follow);
  }
}

/** Health without Redis: the reason why it is unavailable. */
export const healthWithoutRedis = (error: unknown, timestamp: string, follow: Follow): Health => ({
  status: "unhealthy",
  problems: follow([redisProblem(error)]),
  bridge: UNKNOWN,
  backlog: null,
  worker: { heartbeat_age_seconds: null, instance: null, epoch: null },
  timestamp,
});

const before = (now: Micros, age: number): Date => new Date(Math.round(now / 1000 - age * 1000));

/** Why no worker delivers; empty if one does. */
function ofWorker(heartbeat: ReadHeartbeat, now: Micros): Found[] {
  if (heartbeat && "doubt" in heartbeat) return [doubtProblem(heartbeat)];
  if (!heartbeat) return [found("worker-missing", {})];
  const { ageSeconds: age, owned } = heartbeat;
  const since = before(now, age);
  if (heartbeat.health.stopped) return [found("worker-stopped", {}, { since })];
  // A lease expires 3 s after its holder died; a worker without it sends nothing, whatever it reported last.
  return !owned || age > HEARTBEAT_LIMIT_S ? [found("worker-silent", { age }, { since })] : [];
}

/** Whether a live worker with a ready CAD processes what could be sent. */
function ofConsumption({ health: worker, ageSeconds }: LastHeartbeat, neglected: number, now: Micros): Found[] {
  if (!worker.ready) return [];
  if (!worker.consuming) return [found("worker-not-consuming", {})];
  // It could not before the CAD was ready.
  const age = Math.min(neglected, worker.ready_seconds + ageSeconds);
  if (age <= NEGLECT_LIMIT_S + worker.confirm_seconds) return [];
  return [found("commands-neglected", { age }, { since: before(now, age), oldestSeconds: age })];
}

const FULL = {
  redis: () => found("redis-full", {}),
  backlog: (count: number) => found("backlog-full", {}, { count }),
  crews: (count: number) => found("backlog-reserved", {}, { count }),
};

const lost = (count: number) => found("commands-unaccounted", { count }, { count });

/** The health according to Redis. Only `follow` keeps state: when a problem was first seen. */
export function assessHealth(read: ReadHeartbeat, backlog: CommandBacklog, timestamp: string, follow: Follow): Health {
  const age = (since: number | undefined) => (since === undefined ? null : secondsBetween(since, backlog.now));
  const neglected = age(backlog.oldestRunnable);
  const nobody = ofWorker(read, backlog.now);
  const heartbeat = trustedHeartbeat(read);
  const worker = heartbeat?.health;
  const alive = nobody.length === 0 ? heartbeat : undefined;

  const problems = follow([
    ...nobody,
    ...(alive ? ofConsumption(alive, neglected ?? 0, backlog.now) : []),
    // Redis's current view of held dead letters is newer than the worker's.
    ...(alive?.health.problems ?? []).filter(({ code }) => code !== "dead-letter-held"),
    ...heldProblems(backlog.held, backlog.now),
    ...(backlog.unaccounted > 0 ? [lost(backlog.unaccounted)] : []),
    ...(backlog.full ? [FULL[backlog.full](backlog.unsettled)] : []),
  ]);

  return {
    status: statusOf(problems),
    problems,
    bridge: worker
      ? {
          ...pickBridge(worker),
          uptime_percent_24h: alive ? worker.uptime_percent_24h : null,
          uptime_percent_30d: alive ? worker.uptime_percent_30d : null,
          connected: worker.connected && alive !== undefined,
          ready: worker.ready && alive !== undefined,
          authenticated: worker.authenticated && alive !== undefined,
        }
      : UNHEARD,
    backlog: {
      unsettled: backlog.unsettled,
      oldest_unsettled_age_seconds: age(backlog.oldestUnsettled),
      oldest_neglected_age_seconds: neglected,
      dead_letters: backlog.dead,
      held_dead_letters: backlog.held.count,
      held_back: backlog.held.behind,
    },
    worker: {
      heartbeat_age_seconds: heartbeat?.ageSeconds ?? null,
      instance: worker?.instance ?? null,
      epoch: worker?.epoch ?? null,
    },
    timestamp,
  };
}

/** GET /status: the health, with counts that add up and the worker's own report. */
export async function lookAtStatus(
  backend: Pick<Backend, "lastHeartbeat" | "backlog" | "queued" | "figures">,
  now: () => Date,
  follow: Follow,
  followRedis: Follow,
) {
  const [seen, { accepted, counts: settled, unaccounted }, queue, heartbeat, figures] = await Promise.all([
    lookAtHealth(backend, now, follow),
    backend.backlog(),
    backend.queued(),
    backend.lastHeartbeat(),
    backend.figures().catch(() => undefined),
  ]);
  // How Redis is set up: a risk, and not the bridge's health.
  const redis_problems = followRedis(figures?.redis?.problems ?? []);
  return {
    ...seen,
    accepted,
    settled,
    unaccounted,
    queue,
    redis_problems,
    worker_report: trustedHeartbeat(heartbeat)?.health ?? null,
  };
}
