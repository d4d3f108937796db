import { expect, onTestFinished, test } from "vitest";
import { renderSamples } from "../../shared/metrics/exposition.ts";
import { createProcessMetrics } from "../../shared/metrics/process-metrics.ts";
import { METRICS, type MetricName, metricOf } from "../../shared/metrics/table.ts";

const names = Object.keys(METRICS) as MetricName[];

test.each(names)("%s is named and explained as Prometheus has it", (name) => {
  const { type, help, labels = {}, buckets } = metricOf(name);
  expect(name.endsWith("_total")).toBe(type === "counter");
  if (type === "histogram") expect(name).toMatch(/_seconds$/);
  expect(buckets !== undefined).toBe(type === "histogram");
  expect(buckets ?? []).toEqual([...(buckets ?? [])].toSorted((a, b) => a - b));
  expect(help).toMatch(/^[A-Z0-9].*\.$/);
  for (const label of Object.keys(labels)) expect(label).not.toMatch(/unit|incident|user|subject|id$/);
});

test("a label's value is from its list or `other`, never an external id", () => {
  const name = "socket_bridge_commands_settled_total";
  const labels = { state: "confirmed", kind: "units/M12", proof: "echoed" };
  expect(renderSamples([{ name, value: 3, labels }])).toBe(
    `# HELP ${name} ${METRICS[name].help}\n# TYPE ${name} counter\n${name}{state="confirmed",kind="other",proof="echoed"} 3\n`,
  );
});

test("a name of the configuration is escaped, and what is no number is left out", () => {
  const name = "socket_bridge_destination_waiting";
  const samples = [
    { name, value: 1, labels: { destination: 'a"b\\c\nd' } },
    { name, value: Number.NaN, labels: { destination: "e" } },
  ] as const;
  expect(renderSamples(samples).split("\n")[2]).toBe(String.raw`${name}{destination="a\"b\\c\nd"} 1`);
  expect(renderSamples([])).toBe("");
});

test("a process counts and measures, and asks its gauges at each scrape", async () => {
  let leader = 0;
  const metrics = createProcessMetrics("worker", { socket_bridge_worker_leader: () => [{ value: leader }] });
  onTestFinished(metrics.stop);
  metrics.observe("socket_bridge_emit_to_proof_seconds", 0.02, { proof: "echoed" });
  // Of another process: it is not there, and does no harm.
  metrics.count("socket_bridge_refused_total", { code: "full" });
  leader = 1;
  const text = await metrics.text();
  expect(text).toContain('socket_bridge_emit_to_proof_seconds_bucket{le="0.025",proof="echoed"} 1');
  expect(text).toContain("socket_bridge_worker_leader 1");
  expect(text).toMatch(/^socket_bridge_event_loop_delay_seconds\{stat="p99"\} \d/m);
  expect(text).not.toContain("socket_bridge_refused_total");
});

test("measuring costs at most some microseconds", () => {
  const metrics = createProcessMetrics("worker");
  onTestFinished(metrics.stop);
  const ROUNDS = 20_000;
  const from = performance.now();
  for (let i = 0; i < ROUNDS; i += 1) metrics.observe("socket_bridge_emit_to_proof_seconds", 0.02, { proof: "echoed" });
  const micros = ((performance.now() - from) * 1000) / ROUNDS;
  // It takes about 1 us; the bound is for a machine that is busy.
  expect(micros).toBeLessThan(25);
});
