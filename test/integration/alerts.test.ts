import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { stringify } from "yaml";
import { METRICS } from "../../shared/metrics/table.ts";
import { type AlertRule, alertRules, rulesFile } from "../../tools/docs/alerts.ts";
import { alertNameOf } from "../../shared/health/problems.ts";
import { PANELS } from "../../tools/docs/dashboard.ts";
import { freePort } from "../../tools/setup/free-port.ts";
import { startProgram } from "../../tools/setup/process.ts";
import { findPrometheus, type Prometheus } from "../../tools/setup/prometheus.ts";
import { until } from "../../tools/support/until.ts";
import { tokens } from "../support/bridge.ts";
import { withDestinations } from "../support/destinations.ts";

const DEPLOY = resolve(import.meta.dirname, "../../deploy");
const RULES = join(DEPLOY, "prometheus/socket-bridge.rules.yml");
const TOKEN = "a-token-of-the-tests-for-metrics-only.";

const found = await findPrometheus().catch((error: unknown) => String(error));
if (typeof found === "string") console.warn(`The tests with Prometheus are skipped: ${found}`);
const tools = typeof found === "string" ? undefined : found;
const withPrometheus = test.skipIf(tools === undefined);

function freshDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-prometheus-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** What promtool is to see: `series` makes the alert fire at that minute, and it is not there at the minute `quiet`. */
interface Case {
  alert: string;
  series: string;
  values: string;
  at: string;
  quiet: string;
  /** Labels that the alert gets from the series. */
  labels?: Record<string, string>;
}

const CODE_CASES: Case[] = METRICS.socket_bridge_problem.labels.code.map((code) => ({
  alert: alertNameOf(code),
  series: `socket_bridge_problem{code="${code}",instance="a"}`,
  values: "0x9 1x20 0x20",
  at: "29m",
  quiet: "45m",
}));
const OTHER_CASES: Case[] = [
  {
    alert: "SocketBridgeUnhealthy",
    series: 'socket_bridge_health{status="unhealthy"}',
    values: "0x9 1x20 0x20",
    at: "15m",
    quiet: "10m",
  },
  {
    alert: "SocketBridgeCadDisconnectedLong",
    series: 'socket_bridge_problem{code="cad-disconnected"}',
    values: "0x9 1x20 0x20",
    at: "16m",
    quiet: "13m",
  },
  {
    alert: "SocketBridgeCadConnectionAttempts",
    series: "socket_bridge_cad_connection_attempts_total",
    values: "1x9 2+1x20 22x40",
    at: "20m",
    quiet: "50m",
  },
  {
    alert: "SocketBridgeHandlerErrors",
    series: 'socket_bridge_handler_failed_total{handler="state"}',
    values: "0x9 1x30",
    at: "12m",
    quiet: "30m",
    labels: { handler: "state" },
  },
  {
    alert: "SocketBridgeCommandNotDelivered",
    series: 'socket_bridge_commands_settled_total{state="failed",kind="units/status",proof="none"}',
    values: "0x9 1x30",
    at: "12m",
    quiet: "30m",
    labels: { state: "failed", kind: "units/status" },
  },
  {
    alert: "SocketBridgeDown",
    series: 'up{job="socket-bridge-worker",instance="w"}',
    values: "1x9 0x20 1x20",
    at: "15m",
    quiet: "40m",
    labels: { job: "socket-bridge-worker", instance: "w" },
  },
  { alert: "SocketBridgeAbsent", series: "something_else", values: "1x40", at: "10m", quiet: "3m" },
  {
    alert: "SocketBridgeSlowProcess",
    series: 'socket_bridge_event_loop_delay_seconds{stat="p99",instance="w",job="j"}',
    values: "0x9 0.9x20 0x20",
    at: "20m",
    quiet: "40m",
    labels: { stat: "p99", instance: "w", job: "j" },
  },
];

test("there is a case for every rule", () => {
  const cases = [...CODE_CASES, ...OTHER_CASES].map(({ alert }) => alert);
  expect(cases.toSorted()).toEqual(
    alertRules()
      .map(({ alert }) => alert)
      .toSorted(),
  );
});

/** The annotations as Prometheus fills them in. */
const filled = ({ annotations }: AlertRule, labels: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(annotations).map(([name, text]) => [
      name,
      text.replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_all, label: string) => labels[label] ?? ""),
    ]),
  );

withPrometheus("promtool: every rule fires when it should, with its runbook, and is quiet when it should be", () => {
  const dir = freshDir();
  const rules = new Map(alertRules().map((rule) => [rule.alert, rule]));
  const tests = [...CODE_CASES, ...OTHER_CASES].map(({ alert, series, values, at, quiet, labels = {} }) => {
    const rule = rules.get(alert);
    const fires = rule && { exp_labels: { ...labels, ...rule.labels }, exp_annotations: filled(rule, labels) };
    return {
      interval: "1m",
      input_series: [{ series, values }],
      alert_rule_test: [
        { eval_time: at, alertname: alert, exp_alerts: [fires] },
        { eval_time: quiet, alertname: alert, exp_alerts: [] },
      ],
    };
  });
  const file = join(dir, "tests.yml");
  writeFileSync(file, stringify({ rule_files: [RULES], evaluation_interval: "1m", tests }, { lineWidth: 0 }));
  const { status, stdout, stderr } = spawnSync((tools as Prometheus).promtool, ["test", "rules", file], {
    encoding: "utf8",
  });
  expect(status, `${stdout}${stderr}`).toBe(0);
});

/** Not evaluated here: what a busy machine, or the test's own restarts, may cause. promtool has a case for each. */
const LEFT_OUT = new Set(["SlowProcess", "Absent", "CadConnectionAttempts", "Down"].map((n) => `SocketBridge${n}`));
/** The same rules, in seconds. */
const quickRules = () =>
  alertRules()
    .filter(({ alert }) => !LEFT_OUT.has(alert))
    .map((rule) => ({ ...rule, for: "2s", expr: rule.expr.replaceAll("[10m]", "[15s]") }));

async function startPrometheus(targets: Record<string, string>) {
  const dir = freshDir();
  const port = await freePort();
  writeFileSync(join(dir, "rules.yml"), rulesFile(quickRules()));
  const config = {
    global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
    rule_files: ["rules.yml"],
    scrape_configs: Object.entries(targets).map(([name, target]) => ({
      job_name: `socket-bridge-${name}`,
      ...(name === "functions" && {
        metrics_path: "/api/socket-bridge/metrics",
        authorization: { credentials: TOKEN },
      }),
      static_configs: [{ targets: [target] }],
    })),
  };
  writeFileSync(join(dir, "prometheus.yml"), stringify(config));
  const url = `http://127.0.0.1:${port}`;
  const running = await startProgram({
    name: "prometheus",
    command: (tools as Prometheus).prometheus,
    args: [
      `--config.file=${join(dir, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(dir, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    output: join(dir, "prometheus.log"),
    readyWhen: async ({ signal }) => (await fetch(`${url}/-/ready`, { signal })).ok,
  });
  onTestFinished(async () => void (await running.stop()));
  async function ask<T>(path: string): Promise<T> {
    const response = await fetch(`${url}/api/v1/${path}`, { signal: AbortSignal.timeout(5000) });
    const { data, error } = (await response.json()) as { data?: T; error?: string };
    if (data === undefined) throw new Error(`${path}: ${error}`);
    return data;
  }
  return {
    /** How many series a query answers with. Throws for one that is none. */
    query: async (expr: string) =>
      (await ask<{ result: unknown[] }>(`query?query=${encodeURIComponent(expr)}`)).result.length,
    async firing() {
      const { alerts } = await ask<{ alerts: { labels: { alertname: string }; state: string }[] }>("alerts");
      return alerts.flatMap(({ labels, state }) => (state === "firing" ? [labels.alertname] : [])).toSorted();
    },
  };
}

/** Plots of what is not there in a bridge that is well, or has not happened. */
const MAY_BE_EMPTY = /socket_bridge_refused_total|malformed_total|emit_to_proof|canary|event_to_webhook/;

withPrometheus(
  "a real Prometheus: every plot has its data; faults fire exactly their alerts, which resolve with them",
  { timeout: 120_000 },
  async () => {
    const workerPort = String(await freePort());
    const { bridge, env } = await withDestinations(
      ["board"],
      [{ events: ["unit:status:updated"], to: "board" }],
      {},
      {
        cad: { character: "modern" },
        functions: { METRICS_TOKEN: TOKEN },
        worker: { WORKER_PORT: workerPort },
      },
    );
    await bridge.deliver("/units/status", { unit_id: "1", status: "available" });
    const targets = { functions: new URL(bridge.url).host, worker: `127.0.0.1:${workerPort}` };
    const { query, firing } = await startPrometheus(targets);
    const fire = async (...names: string[]) => {
      const expected = names.map((name) => `SocketBridge${name}`).toSorted();
      let last: string[] = [];
      await until(
        `exactly ${names.join(", ") || "no alert"} fire`,
        async () => {
          last = await firing();
          return JSON.stringify(last) === JSON.stringify(expected);
        },
        25_000,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}; firing: ${last.join(", ")}`);
      });
    };

    await until("both are scraped", async () => (await query("up == 1")) === 2, 10_000);
    await until("rates are there", async () => (await query("rate(socket_bridge_events_total[5m])")) > 0, 10_000);
    for (const [expr] of PANELS.flatMap(({ queries }) => queries)) {
      // A rate needs two scrapes of its process.
      const hasData = async () => (await query(expr)) > 0 || MAY_BE_EMPTY.test(expr);
      await until(`there is data for ${expr}`, hasData, 10_000);
    }
    await fire();

    bridge.cad.switches.reject = { next: 1 };
    await bridge.deliver("/units/status", { unit_id: "2", status: "available" });
    await fire("CommandNotDelivered", "DeadLetters");
    const { body } = await bridge.get("/dead-letters");
    const [letter] = body["dead_letters"] as { command_id: string }[];
    await fetch(`${bridge.url}/dead-letters/${letter?.command_id}`, {
      method: "DELETE",
      headers: { Authorization: `Bearer ${tokens.admin}` },
    });
    await fire();

    await bridge.worker()?.stop();
    await fire("WorkerStopped", "Unhealthy");
    await bridge.startWorker(env);
    await fire();

    bridge.cad.switches.refuseToken = true;
    bridge.cad.dropConnections();
    await fire("CadDisconnected", "CadDisconnectedLong");
    bridge.cad.switches.refuseToken = false;
    await fire();
  },
);

test("the dashboard asks for metrics that there are, and for nothing of a payload", () => {
  const json = readFileSync(join(DEPLOY, "grafana/socket-bridge.json"), "utf8");
  const { panels } = JSON.parse(json) as { panels: { targets: { expr: string }[] }[] };
  const names = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => expr.match(/socket_bridge_\w+/g) ?? []));
  for (const name of names) expect(METRICS).toHaveProperty(name.replace(/_(bucket|sum|count)$/, ""));
  const shown = new Set(names.map((name) => name.replace(/_(bucket|sum|count)$/, "")));
  const notShown = Object.keys(METRICS).filter((name) => !shown.has(name));
  // Spans are counted only where traces are exported: its plot would be empty for most.
  expect(notShown).toEqual(["socket_bridge_health", "socket_bridge_spans_total"]);
});

withPrometheus("promtool takes the example configuration", () => {
  const args = ["check", "config", "--syntax-only", join(DEPLOY, "prometheus/prometheus.yml")];
  expect(execFileSync((tools as Prometheus).promtool, args, { encoding: "utf8" })).toContain("SUCCESS");
});
