import { stringify } from "yaml";
import { alertNameOf, PROBLEMS, type ProblemCode, RUNBOOK, type Severity } from "../../shared/health/problems.ts";
import { METRICS } from "../../shared/metrics/table.ts";

export interface AlertRule {
  alert: string;
  expr: string;
  for: string;
  labels: { severity: Severity; code?: string };
  annotations: { summary: string; description: string; runbook_url: string };
}

/** How long a problem must persist, by severity: a short hiccup pages nobody. */
const FOR = { critical: "30s", warning: "2m", notice: "15m" } as const satisfies Record<Severity, string>;

/** One rule for each problem code that a process can export. `max`, because several processes report the same. */
const ofCodes = (): AlertRule[] =>
  METRICS.socket_bridge_problem.labels.code.map((code) => {
    const { severity, title, hint, lost } = PROBLEMS[code as ProblemCode];
    return {
      alert: alertNameOf(code),
      expr: `max(socket_bridge_problem{code="${code}"}) > 0`,
      for: FOR[severity],
      labels: { severity, code },
      annotations: { summary: title, description: `${hint} Lost: ${lost}`, runbook_url: `${RUNBOOK}#${code}` },
    };
  });

const rule = (
  name: string,
  severity: Severity,
  expr: string,
  wait: string,
  [summary, description, anchor]: [summary: string, description: string, anchor: string],
): AlertRule => ({
  alert: `SocketBridge${name}`,
  expr,
  for: wait,
  labels: { severity },
  annotations: { summary, description, runbook_url: `${RUNBOOK}#${anchor}` },
});

/** What no single code covers. */
const OTHERS: readonly AlertRule[] = [
  rule("Unhealthy", "critical", 'max(socket_bridge_health{status="unhealthy"}) > 0', "1m", [
    "GET /health answers 503",
    "Commands are not delivered, or not accepted. `problems` in GET /health says why.",
    "problem-codes",
  ]),
  rule("CadDisconnectedLong", "critical", 'max(socket_bridge_problem{code="cad-disconnected"}) > 0', "5m", [
    "The CAD has not been connected for 5 minutes",
    "Commands are waiting. Check the CAD, the network to it, and its token.",
    "cad-disconnected",
  ]),
  rule(
    "CadConnectionAttempts",
    "warning",
    "max(increase(socket_bridge_cad_connection_attempts_total[10m])) > 5",
    "0s",
    [
      "More than 5 attempts to connect to the CAD within 10 minutes",
      "The connection fails or breaks repeatedly: see `last_error` in GET /health.",
      "cad-disconnected",
    ],
  ),
  rule("HandlerErrors", "warning", "max by (handler) (increase(socket_bridge_handler_failed_total[10m])) > 0", "0s", [
    "A handler failed on a CAD event",
    "{{ $labels.handler }} failed permanently on a journal entry; GET /status shows its last error.",
    "handler-errors",
  ]),
  rule(
    "CommandNotDelivered",
    "warning",
    'max by (state, kind) (increase(socket_bridge_commands_settled_total{state=~"rejected|failed|expired"}[10m])) > 0',
    "0s",
    [
      "A command was not delivered",
      "A {{ $labels.kind }} ended {{ $labels.state }}. GET /dead-letters has the reason; redrive or discard it.",
      "dead-letters",
    ],
  ),
  rule("Down", "critical", 'up{job=~"socket-bridge.*"} == 0', "1m", [
    "A process of the bridge does not answer the scrape",
    "{{ $labels.job }} at {{ $labels.instance }} is down, or refuses METRICS_TOKEN.",
    "metrics",
  ]),
  rule("Absent", "critical", "absent(socket_bridge_health)", "5m", [
    "No functions process is scraped",
    "The bridge's state is unknown: check Prometheus's targets.",
    "metrics",
  ]),
  rule("SlowProcess", "warning", 'socket_bridge_event_loop_delay_seconds{stat="p99"} > 0.5', "5m", [
    "A process of the bridge is overloaded",
    "The event loop of {{ $labels.instance }} is late by more than 0.5 s: it needs more CPU or less load.",
    "metrics",
  ]),
];

export const alertRules = (): AlertRule[] => [...ofCodes(), ...OTHERS];

/** The rules in Prometheus's format. */
export const rulesFile = (rules: readonly AlertRule[] = alertRules()): string =>
  `# Written by \`npm run docs\` from shared/health/problems.ts and tools/docs/alerts.ts: change it there.\n${stringify(
    { groups: [{ name: "socket-bridge", rules }] },
    { lineWidth: 0 },
  )}`;
