import { spawnSync } from "node:child_process";
import { expect, inject, onTestFinished, test } from "vitest";
import { functionsEnv } from "../../functions/config/node-config.ts";
import { startFunctions } from "../../functions/hosts/node.ts";
import { parseConfig } from "../../shared/config/config.ts";
import { METRICS, type MetricName, metricOf } from "../../shared/metrics/table.ts";
import { until } from "../../tools/support/until.ts";
import { JWT_SECRET, startBridge } from "../support/bridge.ts";
import { withDestinations } from "../support/destinations.ts";
import { keptLog } from "../support/log.ts";
import { namesFrom, namesIn, parseMetrics } from "../support/metrics.ts";

const TOKEN = "a-token-of-the-tests-for-metrics-only.";
/** A second listener is a matter of Node: the edge has none. */
const onEdge = inject("host") === "edge";

const textOf = async (url: string, token?: string) => {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(10_000) });
  return { status: response.status, type: response.headers.get("Content-Type"), text: await response.text() };
};

/** `promtool check metrics`, where there is one. */
function lint(text: string): void {
  const { error, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
  if (!error) expect(`${stdout}${stderr}`.trim()).toBe("");
}

test("every metric of the table is told by the processes that it names, with what really happened and no id", async () => {
  const rules = [{ events: ["unit:status:updated"], own_echoes: true, to: "board" }];
  const { bridge } = await withDestinations(["board"], rules, {}, { functions: { METRICS_TOKEN: TOKEN } });
  await bridge.deliver("/units/status", { unit_id: "SECRET-UNIT", status: "available" });
  await bridge.post("/units/status", { unit_id: 7 });

  const scrape = async () => await textOf(`${bridge.url}/metrics`, TOKEN);
  const { text, status, type } = await until("the webhook is counted", async () => {
    const told = await scrape();
    return told.text.includes('attempts_total{destination="board",result="delivered"} 1') && told;
  });
  expect({ status, type }).toEqual({ status: 200, type: "text/plain; version=0.0.4; charset=utf-8" });
  const own = await textOf(`http://127.0.0.1:${bridge.worker()?.port}/metrics`);
  for (const each of [text, own.text]) {
    lint(each);
    expect(each).not.toMatch(/SECRET-UNIT|demo-admin/);
  }

  const expected = onEdge ? namesFrom("bridge") : [...namesFrom("bridge"), ...namesFrom("functions")];
  expect(namesIn(text).toSorted()).toEqual(expected.toSorted());
  expect(namesIn(own.text).toSorted()).toEqual(namesFrom("worker").toSorted());
  for (const [told, labels] of [text, own.text].flatMap(labelsIn)) expect(labels, told).toEqual(labelsOf(told));

  const numbers = parseMetrics(text);
  expect(numbers.get("socket_bridge_commands_accepted_total")).toBe(1);
  expect(
    numbers.get('socket_bridge_commands_settled_total{state="confirmed",kind="units/status",proof="acknowledged"}') ??
      numbers.get('socket_bridge_commands_settled_total{state="confirmed",kind="units/status",proof="echoed"}'),
  ).toBe(1);
  expect(numbers.get("socket_bridge_commands_unaccounted")).toBe(0);
  expect(numbers.get("socket_bridge_cad_ready")).toBe(1);
  expect(numbers.get('socket_bridge_problem{code="cad-disconnected"}')).toBe(0);
  expect(numbers.get('socket_bridge_destination_state{destination="board",state="ok"}')).toBe(1);
  if (!onEdge) expect(numbers.get('socket_bridge_refused_total{code="invalid-body"}')).toBe(1);
  const ofWorker = parseMetrics(own.text);
  for (const name of ["accept_to_emit", "event_to_journal"])
    expect(ofWorker.get(`socket_bridge_${name}_seconds_count`), name).toBeGreaterThan(0);
  expect(ofWorker.get('socket_bridge_event_to_webhook_seconds_count{destination="board"}')).toBe(1);
  expect(ofWorker.get("socket_bridge_worker_leader")).toBe(1);

  await bridge.cad.stop();
  await until("the lost CAD is a metric", async () => {
    const now = parseMetrics((await scrape()).text);
    return now.get("socket_bridge_cad_ready") === 0 && now.get('socket_bridge_problem{code="cad-disconnected"}') === 1;
  });
});

/** The labels of every row, by the name of its metric. */
function labelsIn(text: string): [MetricName, string[]][] {
  return [...text.matchAll(/^(socket_bridge_\w+?)(?:_bucket|_sum|_count)?(?:\{([^}]*)\})? /gm)].flatMap(
    ([, name = "", labels = ""]): [MetricName, string[]][] =>
      name in METRICS
        ? [[name as MetricName, [...labels.matchAll(/(\w+)="/g)].map(([, l = ""]) => l).filter((l) => l !== "le")]]
        : [],
  );
}
const labelsOf = (name: MetricName) => Object.keys(metricOf(name).labels ?? {});

test("only METRICS_TOKEN and admins may read it; and Redis that is away is a metric, not an error", async () => {
  const bridge = await startBridge({ worker: false, functions: { METRICS_TOKEN: TOKEN } });
  const url = `${bridge.url}/metrics`;
  expect((await textOf(url)).status).toBe(401);
  expect((await textOf(url, `${TOKEN}x`)).status).toBe(401);
  expect((await textOf(url, TOKEN)).status).toBe(200);
  expect((await bridge.get("/metrics")).status).toBe(200);
  expect((await textOf(`${bridge.url}/status`, TOKEN)).status).toBe(401);
});

// At the edge there is no second address to listen on.
test.skipIf(onEdge)("METRICS_PORT is an address of its own, without a token; without Redis it says so", async () => {
  const env = { REDIS_URL: "redis://127.0.0.1:1", JWT_SECRET, PORT: "0", METRICS_PORT: "0" };
  const functions = await startFunctions(parseConfig(functionsEnv, env), keptLog().log);
  onTestFinished(() => functions.stop());
  const { status, text } = await textOf(`http://127.0.0.1:${functions.metricsPort}/metrics`);
  expect(status).toBe(200);
  const numbers = parseMetrics(text);
  expect(numbers.get('socket_bridge_problem{code="redis-unavailable"}')).toBe(1);
  expect(numbers.get('socket_bridge_health{status="unhealthy"}')).toBe(1);
  expect(numbers.has("socket_bridge_commands_waiting")).toBe(false);
});
