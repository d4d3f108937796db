import { z } from "zod";
import { HEARTBEAT_LIMIT_S, problemsOf, type WorkerHealth, workerHealth } from "../../shared/health/worker-health.ts";
import { secondsBetween } from "../../shared/util/time.ts";
import type { Backend, CommandBacklog, LastHeartbeat } from "../backend/backend.ts";

/**
 * A runnable command that nobody touched for so long, and for as long as a confirmation may take, while the CAD was ready,
 * means that the worker does not consume. Longer than the longest wait between two tries of a command (15 s).
 */
const NEGLECT_LIMIT_S = 30;

const seconds = z.number().nullable();
export const health = z.object({
  status: z.enum(["healthy", "degraded", "unhealthy"]).meta({
    description:
      "`healthy`: commands are delivered. `degraded`: `problems` says what waits or stands still. `unhealthy`: nobody delivers, or nothing can be accepted.",
  }),
  problems: z.array(z.string()).meta({ description: "What is wrong, in words for whoever is on call." }),
  bridge: workerHealth
    .pick({
      connected: true,
      cad_url: true,
      last_connection: true,
      connection_attempts: true,
      last_error: true,
      event_handlers_registered: true,
      uptime_seconds: true,
      ready: true,
      authenticated: true,
    })
    .extend({ cad_url: z.string().nullable() })
    .meta({
      description: "The connection to the CAD, as the worker last told it; not connected if none was heard of.",
    }),
  backlog: z
    .object({
      unsettled: z.int(),
      oldest_unsettled_age_seconds: seconds,
      oldest_neglected_age_seconds: seconds.meta({
        description: "How long the longest-neglected command that could be sent was not worked on.",
      }),
      dead_letters: z.int(),
    })
    .nullable()
    .meta({ description: "null if Redis cannot be reached." }),
  worker: z.object({ heartbeat_age_seconds: seconds, instance: z.string().nullable(), epoch: z.number().nullable() }),
  timestamp: z.string(),
});
export type Health = z.infer<typeof health>;

/** What is said of the connection to the CAD when no worker told of it. */
const UNHEARD: Health["bridge"] = {
  connected: false,
  cad_url: null,
  last_connection: null,
  connection_attempts: 0,
  last_error: null,
  event_handlers_registered: 0,
  uptime_seconds: 0,
  ready: false,
  authenticated: false,
};

const pickBridge = (worker: WorkerHealth) => ({
  cad_url: worker.cad_url,
  last_connection: worker.last_connection,
  connection_attempts: worker.connection_attempts,
  last_error: worker.last_error,
  event_handlers_registered: worker.event_handlers_registered,
  uptime_seconds: worker.uptime_seconds,
});

/** Looks at everything, and says at a glance what is wrong. Never throws: an unreachable Redis is an answer too. */
export async function lookAtHealth(backend: Backend, now: () => Date): Promise<Health> {
  const timestamp = now().toISOString();
  try {
    const [beat, backlog] = await Promise.all([backend.lastHeartbeat(), backend.backlog()]);
    return assessHealth(beat, backlog, timestamp);
  } catch {
    return {
      status: "unhealthy",
      problems: ["Redis cannot be reached: nothing is accepted until it is back."],
      bridge: UNHEARD,
      backlog: null,
      worker: { heartbeat_age_seconds: null, instance: null, epoch: null },
      timestamp,
    };
  }
}

/** For how long the worker left a command lying that it could have sent, s: before the CAD was ready it could not. */
const leftLying = (beat: LastHeartbeat, neglected: number | null) =>
  Math.min(neglected ?? 0, beat.health.ready_seconds + beat.ageSeconds);

const wedge = (consuming: boolean, left: number): string =>
  consuming
    ? `A command that could be sent was not worked on for ${Math.round(left)} s: the worker does not consume.`
    : "No job comes out of the queue: the worker does not consume.";

const FULL = {
  redis: "Redis is full: nothing is accepted until it has room. What it holds is delivered.",
  backlog: "As many commands wait as may (MAX_BACKLOG): no more are accepted.",
} as const;

function whyNobodyDelivers(beat: LastHeartbeat | undefined): string {
  if (!beat) return "No worker was heard of for a minute: commands are accepted and wait.";
  if (beat.health.stopped) return "The worker was stopped and none took over: commands are accepted and wait.";
  return `The worker was last heard of ${Math.round(beat.ageSeconds)} s ago: commands are accepted and wait.`;
}

/** A pure function of what Redis holds. */
export function assessHealth(beat: LastHeartbeat | undefined, backlog: CommandBacklog, timestamp: string): Health {
  const age = (since: number | undefined) => (since === undefined ? null : secondsBetween(since, backlog.now));
  const neglected = age(backlog.oldestRunnable);
  const worker = beat?.health;
  const gone = !beat || beat.health.stopped || beat.ageSeconds > HEARTBEAT_LIMIT_S;
  const left = beat ? leftLying(beat, neglected) : 0;
  const limit = NEGLECT_LIMIT_S + (worker?.confirm_seconds ?? 0);
  const wedged = !gone && beat.health.ready && (!beat.health.consuming || left > limit);

  const problems = [
    ...(gone ? [whyNobodyDelivers(beat)] : []),
    ...(wedged ? [wedge(beat.health.consuming, left)] : []),
    ...(gone ? [] : problemsOf(beat.health)),
    ...(backlog.full ? [FULL[backlog.full]] : []),
  ];

  return {
    status: gone || wedged || backlog.full ? "unhealthy" : problems.length > 0 ? "degraded" : "healthy",
    problems,
    bridge: worker
      ? {
          ...pickBridge(worker),
          connected: worker.connected && !gone,
          ready: worker.ready && !gone,
          authenticated: worker.authenticated && !gone,
        }
      : UNHEARD,
    backlog: {
      unsettled: backlog.unsettled,
      oldest_unsettled_age_seconds: age(backlog.oldestUnsettled),
      oldest_neglected_age_seconds: neglected,
      dead_letters: backlog.dead,
    },
    worker: {
      heartbeat_age_seconds: beat?.ageSeconds ?? null,
      instance: worker?.instance ?? null,
      epoch: worker?.epoch ?? null,
    },
    timestamp,
  };
}
