import type { Redis } from "ioredis";
import {
  HEARTBEAT_KEPT_MS,
  HEARTBEAT_MS,
  type WorkerHealth,
  withoutCredentials,
} from "../../shared/health/worker-health.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { script } from "../../shared/redis/redis.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";
import type { AuditChainer } from "./audit-chain.ts";
import type { CadConnection } from "../cad/connection.ts";
import type { WorkerConfig } from "../config.ts";
import type { Destinations } from "../destinations/destinations.ts";
import type { CadEvents } from "../events/pipeline.ts";
import type { CircuitBreaker } from "../commands/circuit-breaker.ts";
import type { Jobs } from "../delivery/job-watchdog.ts";
import type { Lease } from "./lease.ts";
import type { Payloads } from "../delivery/payloads.ts";

/** All that runs while a worker owns the CAD, as far as it tells how it is. */
export interface HealthSources {
  config: Pick<WorkerConfig, "CAD_BACKEND_URL" | "CAD_CONFIRM_TIMEOUT_MS">;
  instance: string;
  startedAt: number;
  lease: Pick<Lease, "epoch">;
  connection: Pick<CadConnection, "status">;
  breaker: Pick<CircuitBreaker, "shut">;
  jobs: Pick<Jobs, "consuming">;
  payloads: Pick<Payloads, "problem">;
  audit: Pick<AuditChainer, "problem">;
  cadEvents: Pick<CadEvents, "inbound" | "recovery" | "handlers">;
  destinations: Pick<Destinations, "reports">;
}

/** How the worker that owns the CAD is. To be asked every second or so, for `ready_seconds`. */
export function createHealth(sources: HealthSources): () => WorkerHealth {
  const { config, breaker, jobs, payloads, audit, cadEvents, destinations } = sources;
  let readySince: number | undefined;

  return () => {
    const now = performance.now();
    const cad = sources.connection.status();
    const waitingFor = breaker.shut();
    const ready = waitingFor === undefined;
    readySince = ready ? (readySince ?? now) : undefined;
    return {
      instance: sources.instance,
      epoch: sources.lease.epoch,
      stopped: false,
      ready,
      ready_seconds: readySince === undefined ? 0 : (now - readySince) / 1000,
      confirm_seconds: config.CAD_CONFIRM_TIMEOUT_MS / 1000,
      consuming: jobs.consuming(),
      connected: cad.connected,
      authenticated: cad.authenticated,
      waiting_for: waitingFor ?? null,
      payload_problem: payloads.problem() ?? null,
      audit_problem: audit.problem() ?? null,
      cad_url: withoutCredentials(config.CAD_BACKEND_URL),
      last_connection: cad.lastConnection?.toISOString() ?? null,
      connection_attempts: cad.attempts,
      connections: cad.connections,
      last_error: cad.lastError ?? null,
      event_handlers_registered: cadEvents.handlers().length,
      uptime_seconds: Math.round((now - sources.startedAt) / 1000),
      in_flight: cad.inFlight,
      rooms: cad.rooms,
      events: cadEvents.inbound.counts(),
      recovery: cadEvents.recovery.status(),
      handlers: cadEvents.handlers(),
      destinations: destinations.reports(),
    };
  };
}

/** Tells the functions how the worker is: every second, and at once when something changed. */
export interface Reporter {
  changed(): void;
  run(): Promise<void>;
  goodbye(): Promise<void>;
}

const WRITE_MS = 1000;
/** Written even when Redis is full: whoever is on call needs it then above all. */
const BEAT = `#!lua flags=allow-oom
return redis.call('PSETEX', KEYS[1], ARGV[1], ARGV[2])`;

export function createHeartbeat(
  redis: Redis,
  keys: OutboxKeys,
  health: () => WorkerHealth,
  signal: AbortSignal,
): Reporter {
  const beat = script(redis, "workerBeat", BEAT, [keys.health]);
  let wake = new AbortController();

  /** A beat that cannot be written is missed: that is what the functions go by. */
  async function write(report: WorkerHealth): Promise<void> {
    const written = beat(HEARTBEAT_KEPT_MS, JSON.stringify(report));
    await withDeadline(written, WRITE_MS, "writing the worker's health").catch(() => undefined);
  }

  return {
    changed: () => wake.abort(),
    async run() {
      while (!signal.aborted) {
        wake = new AbortController();
        await write(health());
        await sleep(HEARTBEAT_MS, AbortSignal.any([signal, wake.signal]));
      }
    },
    goodbye: () => write({ ...health(), stopped: true, ready: false, connected: false }),
  };
}
