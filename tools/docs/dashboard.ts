/** One panel of the Grafana dashboard. */
interface Panel {
  title: string;
  unit: "short" | "s" | "ops" | "bytes" | "percentunit";
  queries: readonly (readonly [expr: string, legend: string])[];
  kind?: "stat" | "timeseries";
}

const quantiles = (name: string, by = ""): [string, string][] =>
  [0.5, 0.99].map((q) => [
    `histogram_quantile(${q}, sum by (le${by && `, ${by}`}) (rate(${name}_bucket[5m])))`,
    `p${q * 100}${by && ` {{${by}}}`}`,
  ]);

/** Metrics read from Redis are the same in each functions process: `max`. Metrics of a process are summed, or shown for each. */
export const PANELS: readonly Panel[] = [
  {
    title: "Problems",
    unit: "short",
    kind: "stat",
    queries: [["max by (code) (socket_bridge_problem) > 0 or vector(0)", "{{code}}"]],
  },
  {
    title: "CAD ready",
    unit: "short",
    kind: "stat",
    queries: [["max(socket_bridge_cad_ready)", "ready"]],
  },
  {
    title: "Unaccounted commands (0: nothing was lost)",
    unit: "short",
    kind: "stat",
    queries: [["max(socket_bridge_commands_unaccounted)", "unaccounted"]],
  },
  {
    title: "Dead letters",
    unit: "short",
    kind: "stat",
    queries: [
      ["max(socket_bridge_dead_letters)", "commands"],
      ["max(socket_bridge_dead_letters_held)", "held in place"],
      ["max(socket_bridge_commands_held_back)", "waiting behind these"],
      ["sum(max by (destination) (socket_bridge_destination_dead_letters))", "events"],
    ],
  },
  {
    title: "Commands per second",
    unit: "ops",
    queries: [
      ["max(rate(socket_bridge_commands_accepted_total[5m]))", "accepted"],
      [
        "max by (state, proof) (sum by (instance, state, proof) (rate(socket_bridge_commands_settled_total[5m])))",
        "{{state}} {{proof}}",
      ],
    ],
  },
  {
    title: "Backlog",
    unit: "short",
    queries: [
      ["max(socket_bridge_commands_waiting)", "waiting"],
      ['max(socket_bridge_limit{limit="backlog"})', "limit"],
    ],
  },
  {
    title: "Age of the oldest command",
    unit: "s",
    queries: [
      ["max(socket_bridge_commands_oldest_seconds)", "oldest"],
      ["max(socket_bridge_commands_neglected_seconds)", "neglected"],
    ],
  },
  { title: "Accept", unit: "s", queries: quantiles("socket_bridge_accept_seconds") },
  { title: "Accept to emit", unit: "s", queries: quantiles("socket_bridge_accept_to_emit_seconds") },
  { title: "Emit to proof", unit: "s", queries: quantiles("socket_bridge_emit_to_proof_seconds", "proof") },
  {
    title: "Canary",
    unit: "s",
    queries: [
      ...quantiles("socket_bridge_canary_seconds"),
      ['sum(increase(socket_bridge_canary_total{result="missed"}[10m]))', "missed in 10 min"],
    ],
  },
  { title: "Event to journal", unit: "s", queries: quantiles("socket_bridge_event_to_journal_seconds") },
  { title: "Event to webhook", unit: "s", queries: quantiles("socket_bridge_event_to_webhook_seconds", "destination") },
  {
    title: "Refused requests per second",
    unit: "ops",
    queries: [["sum by (code) (rate(socket_bridge_refused_total[5m]))", "{{code}}"]],
  },
  {
    title: "CAD connection",
    unit: "short",
    queries: [
      ["max(increase(socket_bridge_cad_connection_attempts_total[10m]))", "attempts in 10 min"],
      ["max(increase(socket_bridge_cad_connections_total[10m]))", "connections in 10 min"],
      ["max(socket_bridge_cad_gaps)", "gaps in 24 h"],
      ["max(socket_bridge_circuit_breaker_open)", "circuit breaker open"],
    ],
  },
  {
    title: "CAD events per second",
    unit: "ops",
    queries: [
      ["max by (event) (rate(socket_bridge_events_total[5m]))", "{{event}}"],
      ["max by (event) (rate(socket_bridge_events_malformed_total[5m])) > 0", "malformed {{event}}"],
    ],
  },
  {
    title: "Handlers: lag",
    unit: "s",
    queries: [["max by (handler) (socket_bridge_handler_lag_seconds)", "{{handler}}"]],
  },
  {
    title: "Handlers: entries failed in 10 min",
    unit: "short",
    queries: [["max by (handler) (increase(socket_bridge_handler_failed_total[10m]))", "{{handler}}"]],
  },
  {
    title: "Destinations: waiting",
    unit: "short",
    queries: [["max by (destination) (socket_bridge_destination_waiting)", "{{destination}}"]],
  },
  {
    title: "Destinations: age of the oldest event",
    unit: "s",
    queries: [["max by (destination) (socket_bridge_destination_oldest_seconds)", "{{destination}}"]],
  },
  {
    title: "Destinations: requests per second",
    unit: "ops",
    queries: [
      [
        "max by (destination, result) (rate(socket_bridge_destination_attempts_total[5m]))",
        "{{destination}} {{result}}",
      ],
    ],
  },
  {
    title: "Destinations: paused or disabled",
    unit: "short",
    queries: [
      ['max by (destination, state) (socket_bridge_destination_state{state!="ok"})', "{{destination}} {{state}}"],
    ],
  },
  {
    title: "Leader",
    unit: "short",
    queries: [
      ["sum(socket_bridge_worker_leader)", "leaders (1)"],
      ["max(socket_bridge_worker_heartbeat_age_seconds)", "age of the heartbeat, s"],
      ["max(increase(socket_bridge_lease_changes_total[1h]))", "changes in 1 h"],
    ],
  },
  {
    title: "Redis memory",
    unit: "bytes",
    queries: [
      ["max(socket_bridge_redis_memory_bytes)", "used"],
      ["max(socket_bridge_redis_memory_limit_bytes)", "limit"],
      ["max(socket_bridge_commands_waiting_bytes)", "backlog"],
    ],
  },
  { title: "Journal", unit: "short", queries: [["max(socket_bridge_journal_entries)", "entries"]] },
  {
    title: "Event loop delay, p99",
    unit: "s",
    queries: [['socket_bridge_event_loop_delay_seconds{stat="p99"}', "{{job}} {{instance}}"]],
  },
  {
    title: "Process memory",
    unit: "bytes",
    queries: [["socket_bridge_process_memory_bytes", "{{job}} {{instance}}"]],
  },
];

const COLUMNS = 3;
const WIDTH = 24 / COLUMNS;
const HEIGHT = 7;
const SOURCE = { type: "prometheus", uid: "${datasource}" };

const toPanel = ({ title, unit, queries, kind = "timeseries" }: Panel, i: number) => ({
  id: i + 1,
  title,
  type: kind,
  datasource: SOURCE,
  gridPos: { x: (i % COLUMNS) * WIDTH, y: Math.floor(i / COLUMNS) * HEIGHT, w: WIDTH, h: HEIGHT },
  fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
  targets: queries.map(([expr, legendFormat], n) => ({
    refId: String.fromCodePoint(65 + n),
    datasource: SOURCE,
    expr,
    legendFormat,
  })),
});

/** The dashboard in Grafana's import format. Only numbers: no payloads, and no ids of units, incidents or commands. */
export const dashboardFile = (): string =>
  `${JSON.stringify(
    {
      title: "Socket Bridge",
      uid: "socket-bridge",
      tags: ["socket-bridge"],
      schemaVersion: 39,
      editable: true,
      refresh: "30s",
      time: { from: "now-6h", to: "now" },
      templating: { list: [{ name: "datasource", type: "datasource", query: "prometheus", label: "Data source" }] },
      panels: PANELS.map(toPanel),
    },
    null,
    2,
  )}\n`;
