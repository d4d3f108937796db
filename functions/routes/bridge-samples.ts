import { timeOfId } from "../../shared/redis/stream-id.ts";
import { proofOf } from "../../shared/commands/proof.ts";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";
import type { Sample } from "../../shared/metrics/exposition.ts";
import { problemFlags } from "../../shared/metrics/problem-flags.ts";
import { LIMITS, METRICS, type MetricName, OTHER } from "../../shared/metrics/table.ts";
import { DEAD_STATES } from "../../shared/outbox/states.ts";
import type { Bounds } from "../../shared/outbox/bounds.ts";
import { secondsBetween } from "../../shared/util/time.ts";
import type { CommandBacklog, LastHeartbeat } from "../backend/health-calls.ts";
import type { DestinationBacklog } from "../backend/destination-calls.ts";
import type { Figures } from "../backend/figures.ts";
import type { Health } from "./health.ts";

/** Everything read for one scrape; without Redis, its values are unknown. */
export interface BridgeState {
  health: Health;
  bounds: Bounds;
  redis?: {
    heartbeat: LastHeartbeat | undefined;
    backlog: CommandBacklog;
    figures: Figures;
    destinations: readonly DestinationBacklog[];
  };
}

const flag = (on: boolean): number => (on ? 1 : 0);

/** The metrics of the whole bridge. A pure function of what was read. */
export function bridgeSamples({ health, bounds, redis }: BridgeState): Sample[] {
  return [
    ...problemFlags([
      ...health.problems,
      ...(redis?.figures.redis?.problems ?? []),
      ...(redis && redis.backlog.dead > 0 ? [{ code: "dead-letters" }] : []),
    ]).map(({ labels, value }) => sample("socket_bridge_problem", value, labels)),
    ...METRICS.socket_bridge_health.labels.status.map((status) =>
      sample("socket_bridge_health", flag(status === health.status), { status }),
    ),
    ...limitSamples(bounds),
    sample("socket_bridge_cad_ready", flag(health.bridge.ready === true)),
    ...(redis ? [...ofCommands(redis), ...ofRedis(redis), ...redis.destinations.flatMap(ofDestination(redis))] : []),
    ...(redis?.heartbeat ? ofWorker(redis.heartbeat, redis.figures) : []),
  ];
}

const sample = (name: MetricName, value: number, labels?: Record<string, string>): Sample =>
  labels ? { name, value, labels } : { name, value };

const LIMIT_OF = { backlog: "backlog", backlog_bytes: "bytes", subject: "subject", subject_bytes: "subjectBytes" };
const limitSamples = (bounds: Bounds): Sample[] =>
  LIMITS.map((limit) =>
    sample("socket_bridge_limit", bounds[(LIMIT_OF[limit as keyof typeof LIMIT_OF] ?? limit) as keyof Bounds], {
      limit,
    }),
  );

type Read = NonNullable<BridgeState["redis"]>;

function ofCommands({ backlog, figures }: Read): Sample[] {
  const age = (since: number | undefined) => (since === undefined ? 0 : secondsBetween(since, backlog.now));
  return [
    sample("socket_bridge_commands_accepted_total", backlog.accepted),
    ...settledSamples(figures.outcomes),
    sample("socket_bridge_commands_unaccounted", backlog.unaccounted),
    sample("socket_bridge_commands_waiting", backlog.unsettled),
    sample("socket_bridge_commands_waiting_bytes", backlog.unsettledBytes),
    sample("socket_bridge_commands_oldest_seconds", age(backlog.oldestUnsettled)),
    sample("socket_bridge_commands_neglected_seconds", age(backlog.oldestRunnable)),
    sample("socket_bridge_dead_letters", backlog.dead),
    sample("socket_bridge_dead_letters_held", backlog.held.count),
    sample("socket_bridge_commands_held_back", backlog.held.behind),
  ];
}

/** Several Redis counters may map to the same labels: no proof is `none`, a kind from another version is `other`. */
function settledSamples(outcomes: Readonly<Record<string, number>>): Sample[] {
  const sums = new Map<string, Sample>();
  const kinds: readonly string[] = METRICS.socket_bridge_commands_settled_total.labels.kind;
  // Starting at 0 makes increase() count the first one.
  for (const state of DEAD_STATES)
    for (const kind of kinds) {
      const labels = { state, kind, proof: "none" };
      sums.set(JSON.stringify(labels), sample("socket_bridge_commands_settled_total", 0, labels));
    }
  for (const [outcome, n] of Object.entries(outcomes)) {
    const [state = "", known = "", by = ""] = outcome.split(" ");
    const kind = kinds.includes(known) ? known : OTHER;
    const labels = { state, kind, proof: proofOf(known, by)?.proof ?? "none" };
    const id = JSON.stringify(labels);
    const before = sums.get(id)?.value ?? 0;
    sums.set(id, sample("socket_bridge_commands_settled_total", before + n, labels));
  }
  return [...sums.values()];
}

function ofRedis({ figures: { epoch, journal, redis } }: Read): Sample[] {
  return [
    sample("socket_bridge_lease_changes_total", epoch),
    sample("socket_bridge_journal_entries", journal.entries),
    sample("socket_bridge_redis_memory_bytes", redis?.memory ?? Number.NaN),
    sample("socket_bridge_redis_memory_limit_bytes", redis?.memoryLimit ?? Number.NaN),
  ];
}

const BREAKER_CODES = new Set(["cad-not-confirming", "cad-breaks-connection"]);

function ofWorker({ health: worker, ageSeconds }: LastHeartbeat, { journal }: Figures): Sample[] {
  return [
    sample("socket_bridge_worker_heartbeat_age_seconds", ageSeconds),
    sample("socket_bridge_cad_connection_attempts_total", worker.connection_attempts_total),
    sample("socket_bridge_cad_connections_total", worker.connections),
    sample("socket_bridge_cad_gaps", worker.recovery.gaps_24h),
    sample("socket_bridge_circuit_breaker_open", flag(worker.problems.some(({ code }) => BREAKER_CODES.has(code)))),
    ...eventSamples(worker.events),
    ...worker.handlers.flatMap(({ handler, cursor, failed }) => [
      sample(
        "socket_bridge_handler_lag_seconds",
        Math.max(0, (timeOfId(journal.newest) - timeOfId(cursor)) / 1_000_000),
        {
          handler,
        },
      ),
      sample("socket_bridge_handler_failed_total", failed, { handler }),
    ]),
  ];
}

const eventSamples = (counts: WorkerHealth["events"]): Sample[] =>
  Object.entries(counts).flatMap(([name, { received, malformed }]) => {
    const event = (METRICS.socket_bridge_events_total.labels.event as readonly string[]).includes(name) ? name : OTHER;
    return [
      sample("socket_bridge_events_total", received, { event }),
      sample("socket_bridge_events_malformed_total", malformed, { event }),
    ];
  });

const ofDestination =
  ({ heartbeat }: Read) =>
  ({ id: destination, backlog, state }: DestinationBacklog): Sample[] => {
    const report = heartbeat?.health.destinations.find(({ id }) => id === destination);
    const present = report?.state ?? state?.state ?? "ok";
    const { oldestUnsettled: oldest, now } = backlog;
    return [
      sample("socket_bridge_destination_waiting", backlog.unsettled, { destination }),
      sample("socket_bridge_destination_oldest_seconds", oldest === undefined ? 0 : secondsBetween(oldest, now), {
        destination,
      }),
      sample("socket_bridge_destination_dead_letters", backlog.dead, { destination }),
      ...METRICS.socket_bridge_destination_state.labels.state.map((one) =>
        sample("socket_bridge_destination_state", flag(one === present), { destination, state: one }),
      ),
      ...(report
        ? [
            sample("socket_bridge_destination_attempts_total", report.delivered, { destination, result: "delivered" }),
            sample("socket_bridge_destination_attempts_total", report.failed_attempts, {
              destination,
              result: "failed",
            }),
          ]
        : []),
    ];
  };
