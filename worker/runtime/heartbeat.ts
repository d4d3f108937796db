import type { Redis } from "ioredis";
import {
  HEARTBEAT_KEPT_MS,
  HEARTBEAT_MS,
  type WorkerHealth,
  withoutCredentials,
} from "../../shared/health/worker-health.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { createRedisClock } from "../../shared/redis/clock.ts";
import {
  type ArgumentsOf,
  defineScript,
  integer,
  object,
  openScript,
  optional,
  string,
} from "../../shared/redis/script.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";
import type { AuditChainer } from "./audit-chain.ts";
import type { CadConnection } from "../cad/connection.ts";
import type { WorkerConfig } from "../config/worker-env.ts";
import type { Destinations } from "../destinations/destinations.ts";
import type { CadEvents } from "../events/pipeline.ts";
import type { Admission } from "../admission/admission.ts";
import type { Jobs } from "../delivery/job-watchdog.ts";
import { events as cadEventTypes } from "../../shared/events/table.ts";
import { createProblemTracker } from "../../shared/health/problem-tracker.ts";
import type { Found } from "../../shared/health/problems.ts";
import { openUptime, uptimeId } from "../../shared/health/history.ts";
import { parseHeartbeat } from "../../shared/health/heartbeat.ts";
import { storeClear } from "../../shared/sealing/clear.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import { detectProblems } from "./detect-problems.ts";
import type { Lease } from "./lease.ts";
import { createUptime, KEPT_HOURS, readUptime, type Uptime } from "./uptime.ts";
import type { Payloads } from "../delivery/payloads.ts";

/** All that runs while a worker owns the CAD, as far as health needs it. */
export interface HealthSources {
  config: Pick<WorkerConfig, "CAD_CONFIRM_TIMEOUT_MS">;
  instance: string;
  lease: Pick<Lease, "epoch">;
  connection: Pick<CadConnection, "status">;
  admission: Pick<Admission, "closedBecause" | "breaksConnection" | "unanswered" | "unechoed">;
  jobs: Pick<Jobs, "consuming">;
  payloads: Pick<Payloads, "problem">;
  audit: Pick<AuditChainer, "problem">;
  cadEvents: Pick<CadEvents, "inbound" | "recovery" | "handlers">;
  destinations: Pick<Destinations, "reports">;
  /** What other parts know to be wrong now. */
  problems?: readonly (() => readonly Found[])[];
}

/** How the worker that owns the CAD is. */
export interface Health {
  /** To be asked every second or so, for `ready_seconds` and the beginning of each problem. */
  report(): WorkerHealth;
  /** What the worker before reported last: problems that are still there keep their beginning. */
  inherit(before: WorkerHealth): void;
}

export function createHealth(sources: HealthSources): Health {
  const { config, admission, jobs, payloads, audit, cadEvents, destinations } = sources;
  const tracker = createProblemTracker(Date.now);
  let readySince: number | undefined;

  function report(): WorkerHealth {
    const now = performance.now();
    const cad = sources.connection.status();
    const waitingFor = admission.closedBecause();
    const ready = waitingFor === undefined;
    readySince = ready ? (readySince ?? now) : undefined;
    const own = {
      instance: sources.instance,
      written_at: null,
      epoch: sources.lease.epoch,
      stopped: false,
      ready,
      ready_seconds: readySince === undefined ? 0 : (now - readySince) / 1000,
      confirm_seconds: config.CAD_CONFIRM_TIMEOUT_MS / 1000,
      consuming: jobs.consuming(),
      connected: cad.connected,
      authenticated: cad.authenticated,
      waiting_for: waitingFor ?? null,
      cad_url: withoutCredentials(cad.url),
      last_connection: cad.lastConnection?.toISOString() ?? null,
      connection_attempts: cad.failures,
      connection_attempts_total: cad.attempts,
      disconnected_since: cad.ready ? null : cad.since.toISOString(),
      transport: cad.via ?? null,
      connections: cad.connections,
      last_error: cad.lastError ?? null,
      event_handlers_registered: cadEventTypes.length,
      uptime_seconds: cad.ready ? Math.max(0, Math.round((Date.now() - cad.since.getTime()) / 1000)) : 0,
      // The heartbeat knows these.
      uptime_percent_24h: null,
      uptime_percent_30d: null,
      in_flight: cad.inFlight,
      rooms: cad.rooms,
      events: cadEvents.inbound.counts(),
      recovery: cadEvents.recovery.status(),
      handlers: cadEvents.handlers(),
      destinations: destinations.reports(),
    };
    const detected = detectProblems({
      report: own,
      connectionReady: cad.ready,
      breaksConnection: admission.breaksConnection(),
      unanswered: admission.unanswered(),
      unechoed: admission.unechoed(),
      payloads: payloads.problem(),
      audit: audit.problem(),
    });
    const others = (sources.problems ?? []).flatMap((problems) => problems());
    return { ...own, problems: tracker.follow([...detected, ...others]) };
  }

  return { report, inherit: (before) => tracker.inherit(before.problems) };
}

/** Reports to the functions: every second, and at once when something changed. */
export interface Reporter {
  changed(): void;
  run(): Promise<void>;
  goodbye(): Promise<void>;
}

const WRITE_MS = 1000;
/** Written even when Redis is full: it is needed then above all. */
/** An hour's uptime, `oldest`: the first hour that is kept. As texts where Redis stores them, behind their MACs. */
const UPTIME = { hour: string, ms: string, from: string, oldest: integer, keptSeconds: integer } as const;
const WRITE = defineScript(
  "workerHeartbeat",
  { keptMs: integer, report: string, uptime: optional(object("uptime", UPTIME)) },
  `#!lua flags=allow-oom
redis.call('PSETEX', KEYS[1], args.keptMs, args.report)
local uptime = args.uptime
if not uptime then return end
local isNew = redis.call('HSET', KEYS[2], uptime.hour, uptime.ms)
redis.call('HSET', KEYS[2], 'from', uptime.from)
redis.call('EXPIRE', KEYS[2], uptime.keptSeconds)
if isNew == 0 then return end
for _, hour in ipairs(redis.call('HKEYS', KEYS[2])) do
  if hour ~= 'from' and (tonumber(hour) or 0) < uptime.oldest then redis.call('HDEL', KEYS[2], hour) end
end`,
);

const toArgument = (
  { hour, ms, from }: ReturnType<Uptime["note"]>,
  sealer: Sealer,
  keys: OutboxKeys,
): ArgumentsOf<typeof UPTIME> => ({
  hour: String(hour),
  ms: storeClear(sealer, "uptime", uptimeId(keys, String(hour)), String(ms)),
  from: storeClear(sealer, "uptime", uptimeId(keys, "from"), String(from)),
  oldest: hour - KEPT_HOURS,
  keptSeconds: (KEPT_HOURS + 1) * 3600,
});

export function createHeartbeat(
  redis: Redis,
  keys: OutboxKeys,
  sealer: Sealer,
  health: Health,
  signal: AbortSignal,
): Reporter {
  const clock = createRedisClock(redis);
  const storeHeartbeat = openScript(redis, WRITE, [keys.health, keys.uptime]);
  let uptime: Uptime | undefined;
  let wake = new AbortController();

  /** What was counted before; undefined while Redis does not say: then nothing is counted, and nothing overwritten. */
  async function loadUptime(): Promise<Uptime | undefined> {
    const hash = await withDeadline(redis.hgetall(keys.uptime), WRITE_MS, "reading the uptime").catch(() => undefined);
    return hash && createUptime(readUptime(openUptime(hash, sealer, keys)));
  }

  /** A heartbeat that cannot be written is missed: that is what the functions go by. */
  async function write(report: WorkerHealth): Promise<void> {
    uptime ??= await loadUptime();
    const now = Date.now();
    const counted = uptime?.note(report.ready, now);
    const percents = {
      uptime_percent_24h: uptime?.percent(24, now) ?? null,
      uptime_percent_30d: uptime?.percent(KEPT_HOURS, now) ?? null,
    };
    async function store(): Promise<void> {
      const json = JSON.stringify({ ...report, ...percents, written_at: await clock() });
      const stored = storeClear(sealer, "heartbeat", keys.health, json);
      const argument = counted && toArgument(counted, sealer, keys);
      await storeHeartbeat({ keptMs: HEARTBEAT_KEPT_MS, report: stored, uptime: argument });
    }
    await withDeadline(store(), WRITE_MS, "writing the worker's health").catch(() => undefined);
  }

  /** What the worker before reported last. One that cannot be read is as if there was none. */
  async function inherit(): Promise<void> {
    const stored = await withDeadline(redis.get(keys.health), WRITE_MS, "reading the last heartbeat").catch(() => null);
    const before = parseHeartbeat(stored, sealer, keys);
    if (before && !("doubt" in before)) health.inherit(before);
  }

  return {
    changed: () => wake.abort(),
    async run() {
      await inherit();
      while (!signal.aborted) {
        wake = new AbortController();
        await write(health.report());
        await sleep(HEARTBEAT_MS, AbortSignal.any([signal, wake.signal]));
      }
    },
    goodbye: () => write({ ...health.report(), stopped: true, ready: false, connected: false }),
  };
}
