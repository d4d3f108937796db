import { commands } from "../commands/table.ts";
import { PROOFS } from "../commands/proof.ts";
import { events } from "../events/table.ts";
import { PROBLEMS, type ProblemCode } from "../health/problems.ts";
import { FINAL_STATES } from "../outbox/states.ts";

/**
 * Which process exports a metric.
 * - `bridge`: read from Redis at every scrape. Each functions process, on Node or at the edge, says the same: take `max`
 * - `functions`: of one functions process on Node alone
 * - `worker`: of one worker process alone
 */
export type Source = "bridge" | "functions" | "worker";

/** Possible values of a label: a list, or a set that is closed elsewhere. Never a unit, an incident or a user. */
type LabelValues = readonly string[] | { of: string };

export interface Metric {
  type: "counter" | "gauge" | "histogram";
  help: string;
  from: readonly Source[];
  labels?: Readonly<Record<string, LabelValues>>;
  /** Upper bounds, s. */
  buckets?: readonly number[];
}

/** Replaces a label value that is not in its list. */
export const OTHER = "other";
/** Codes that only `npm run doctor` reports: a running process cannot, or need not. */
export const DOCTOR_ONLY: readonly ProblemCode[] = ["payloads-unsealed", "destination-unreachable"];

const KINDS = [...commands.map(({ name }) => name), OTHER];
const CODES = Object.keys(PROBLEMS).filter((code) => !(DOCTOR_ONLY as readonly string[]).includes(code));
const DESTINATIONS = { of: "the destinations of the configuration" };
const HANDLERS = { of: "the handlers, one of them for each destination" };
const STATES = ["ok", "paused", "disabled", "removed"] as const;
export const LIMITS = ["backlog", "backlog_bytes", "subject", "subject_bytes", "key"] as const;
export const DELAY_STATS = ["p50", "p99", "max"] as const;
const QUICK = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const SLOW = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800];

/** Every metric. Times in seconds, sizes in bytes. The table of docs/operations.md is derived from it, and a test checks real processes. */
export const METRICS = {
  socket_bridge_problem: {
    type: "gauge",
    help: "1 while a problem with this code is there, else 0. The runbook has a section for each code.",
    from: ["bridge", "worker"],
    labels: { code: CODES },
  },
  socket_bridge_health: {
    type: "gauge",
    help: "1 for the present status of GET /health, else 0.",
    from: ["bridge"],
    labels: { status: ["healthy", "degraded", "unhealthy"] },
  },
  socket_bridge_commands_accepted_total: {
    type: "counter",
    help: "Commands accepted.",
    from: ["bridge"],
  },
  socket_bridge_commands_settled_total: {
    type: "counter",
    help: "Commands that reached a final state, and what proved their delivery.",
    from: ["bridge"],
    labels: { state: FINAL_STATES, kind: KINDS, proof: [...PROOFS, "none"] },
  },
  socket_bridge_commands_unaccounted: {
    type: "gauge",
    help: "Commands accepted that are neither settled nor waiting: 0 unless something was lost.",
    from: ["bridge"],
  },
  socket_bridge_commands_waiting: { type: "gauge", help: "Commands that are not settled yet.", from: ["bridge"] },
  socket_bridge_commands_waiting_bytes: { type: "gauge", help: "Their size as stored.", from: ["bridge"] },
  socket_bridge_commands_oldest_seconds: {
    type: "gauge",
    help: "Age of the oldest command that is not settled; 0 if there is none.",
    from: ["bridge"],
  },
  socket_bridge_commands_neglected_seconds: {
    type: "gauge",
    help: "How long the longest-neglected command that could be sent was not worked on; 0 if there is none.",
    from: ["bridge"],
  },
  socket_bridge_dead_letters: { type: "gauge", help: "Commands that are dead letters.", from: ["bridge"] },
  socket_bridge_dead_letters_held: {
    type: "gauge",
    help: "Those of them that hold their place (HOLD).",
    from: ["bridge"],
  },
  socket_bridge_commands_held_back: {
    type: "gauge",
    help: "Commands that wait behind a dead letter that holds its place; of more than 2000, at least so many.",
    from: ["bridge"],
  },
  socket_bridge_limit: {
    type: "gauge",
    help: "How much may wait; 0: unlimited. `subject` and `key`: commands of one token subject, of one ordering key.",
    from: ["bridge"],
    labels: { limit: LIMITS },
  },
  socket_bridge_refused_total: {
    type: "counter",
    help: "Requests refused, by the error code of docs/api.md.",
    from: ["functions"],
    labels: { code: { of: "the error codes of docs/api.md" } },
  },
  socket_bridge_accept_seconds: {
    type: "histogram",
    help: "Time from a command's parsed request to Redis's answer.",
    from: ["functions"],
    buckets: QUICK,
  },
  socket_bridge_accept_to_emit_seconds: {
    type: "histogram",
    help: "Time from the acceptance of a command until it was first sent to the CAD.",
    from: ["worker"],
    buckets: SLOW,
  },
  socket_bridge_emit_to_proof_seconds: {
    type: "histogram",
    help: "Time from the last sending of a command until the CAD's answer that settled it.",
    from: ["worker"],
    labels: { proof: PROOFS },
    buckets: [...QUICK, 10, 30],
  },
  socket_bridge_canary_seconds: {
    type: "histogram",
    help: "Time from the sending of a test command of CANARY_UNIT until it was proved; `from`: where it begins, the functions (CANARY_URL) or the outbox.",
    from: ["worker"],
    labels: { from: ["http", "outbox"] },
    buckets: SLOW,
  },
  socket_bridge_canary_total: {
    type: "counter",
    help: "Test commands of CANARY_UNIT.",
    from: ["worker"],
    labels: { result: ["delivered", "missed"], from: ["http", "outbox"] },
  },
  socket_bridge_event_to_journal_seconds: {
    type: "histogram",
    help: "Time from an event's arrival from the CAD until it was in the journal.",
    from: ["worker"],
    buckets: [...QUICK, 10, 30],
  },
  socket_bridge_event_to_webhook_seconds: {
    type: "histogram",
    help: "Time from an event's place in the journal until the destination had taken it.",
    from: ["worker"],
    labels: { destination: DESTINATIONS },
    buckets: SLOW,
  },
  socket_bridge_cad_ready: {
    type: "gauge",
    help: "1 while the CAD is connected, authenticated and answering, else 0.",
    from: ["bridge"],
  },
  socket_bridge_cad_connection_attempts_total: {
    type: "counter",
    help: "Tries to connect to the CAD, since the leader took it.",
    from: ["bridge"],
  },
  socket_bridge_cad_connections_total: {
    type: "counter",
    help: "Connections to the CAD that became ready, since the leader took it.",
    from: ["bridge"],
  },
  socket_bridge_cad_gaps: {
    type: "gauge",
    help: "Stretches of the last 24 h in which events of the CAD may be missing.",
    from: ["bridge"],
  },
  socket_bridge_circuit_breaker_open: {
    type: "gauge",
    help: "1 while the circuit breaker holds commands back, since the CAD confirms nothing or breaks the connection, else 0.",
    from: ["bridge"],
  },
  socket_bridge_events_total: {
    type: "counter",
    help: "Events received from the CAD, since the leader took it.",
    from: ["bridge"],
    labels: { event: [...events.map(({ name }) => name), OTHER] },
  },
  socket_bridge_events_malformed_total: {
    type: "counter",
    help: "Those whose payload does not parse.",
    from: ["bridge"],
    labels: { event: [...events.map(({ name }) => name), OTHER] },
  },
  socket_bridge_journal_entries: { type: "gauge", help: "Entries in the journal.", from: ["bridge"] },
  socket_bridge_handler_lag_seconds: {
    type: "gauge",
    help: "Time between the newest entry of the journal and the last that the handler has done; 0 if it has done all.",
    from: ["bridge"],
    labels: { handler: HANDLERS },
  },
  socket_bridge_handler_failed_total: {
    type: "counter",
    help: "Entries that a handler failed at for good, since the leader took the CAD.",
    from: ["bridge"],
    labels: { handler: HANDLERS },
  },
  socket_bridge_destination_waiting: {
    type: "gauge",
    help: "Events that wait for a destination.",
    from: ["bridge"],
    labels: { destination: DESTINATIONS },
  },
  socket_bridge_destination_oldest_seconds: {
    type: "gauge",
    help: "Age of the oldest of them; 0 if there is none.",
    from: ["bridge"],
    labels: { destination: DESTINATIONS },
  },
  socket_bridge_destination_dead_letters: {
    type: "gauge",
    help: "Events that a destination did not take in all attempts.",
    from: ["bridge"],
    labels: { destination: DESTINATIONS },
  },
  socket_bridge_destination_attempts_total: {
    type: "counter",
    help: "Requests to a destination, since the leader took the CAD.",
    from: ["bridge"],
    labels: { destination: DESTINATIONS, result: ["delivered", "failed"] },
  },
  socket_bridge_destination_state: {
    type: "gauge",
    help: "1 for the present state of a destination, else 0.",
    from: ["bridge"],
    labels: { destination: DESTINATIONS, state: STATES },
  },
  socket_bridge_lease_changes_total: {
    type: "counter",
    help: "How often a worker took the CAD.",
    from: ["bridge"],
  },
  socket_bridge_worker_heartbeat_age_seconds: {
    type: "gauge",
    help: "How long ago the leader last reported; not there if none ever did.",
    from: ["bridge"],
  },
  socket_bridge_worker_leader: {
    type: "gauge",
    help: "1 if this worker is the leader, 0 if it stands by.",
    from: ["worker"],
  },
  socket_bridge_redis_memory_bytes: { type: "gauge", help: "Memory that Redis uses.", from: ["bridge"] },
  socket_bridge_redis_memory_limit_bytes: {
    type: "gauge",
    help: "Redis's maxmemory; 0: unlimited.",
    from: ["bridge"],
  },
  socket_bridge_spans_total: {
    type: "counter",
    help: "Spans of traces (OTEL_EXPORTER_OTLP_ENDPOINT): exported; lost since the collector failed; dropped since too many waited.",
    from: ["functions", "worker"],
    labels: { result: ["exported", "failed", "dropped"] },
  },
  socket_bridge_event_loop_delay_seconds: {
    type: "gauge",
    help: "Delay of the process's event loop since the last scrape.",
    from: ["functions", "worker"],
    labels: { stat: DELAY_STATS },
  },
  socket_bridge_process_memory_bytes: {
    type: "gauge",
    help: "Resident memory of the process.",
    from: ["functions", "worker"],
  },
} as const satisfies Record<`socket_bridge_${string}`, Metric>;

export type MetricName = keyof typeof METRICS;
type OfType<Type extends Metric["type"]> = {
  [Name in MetricName]: (typeof METRICS)[Name]["type"] extends Type ? Name : never;
}[MetricName];
export type HistogramName = OfType<"histogram">;
export type CounterName = OfType<"counter">;
export type GaugeName = OfType<"gauge">;

/** The row of a metric, with a type that is common to all. */
export const metricOf = (name: MetricName): Metric => METRICS[name];
