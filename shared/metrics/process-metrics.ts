import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry } from "@prometheus-io/client";
import { DELAY_STATS, type GaugeName, METRICS, type MetricName, metricOf } from "./table.ts";
import type { Measure } from "./measure.ts";

/** Sampling interval of the event loop's delay, ms. */
const RESOLUTION_MS = 20;

/** The metrics of one Node process. */
export interface ProcessMetrics extends Measure {
  /** The text of one scrape. */
  text(): Promise<string>;
  stop(): void;
}

/** Gauges that are read at each scrape. */
export type Asked = Partial<Record<GaugeName, () => readonly { labels?: Record<string, string>; value: number }[]>>;

/** Metrics that every process has. */
const OF_PROCESS: ReadonlySet<MetricName> = new Set([
  "socket_bridge_event_loop_delay_seconds",
  "socket_bridge_process_memory_bytes",
  "socket_bridge_spans_total",
]);

/**
 * The metrics of the table that such a process exports itself; `asked` reads the current gauges.
 * @param part in a process for several CADs: the metrics of the process (`process`) or of one CAD (`cad`)
 */
export function createProcessMetrics(
  source: "functions" | "worker",
  asked: Asked = {},
  part: "all" | "process" | "cad" = "all",
): ProcessMetrics {
  const registry = new Registry();
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const gauges: Asked = {
    socket_bridge_event_loop_delay_seconds() {
      const ns = { p50: delay.percentile(50), p99: delay.percentile(99), max: delay.max };
      // The sampling itself takes its resolution.
      const seconds = (stat: (typeof DELAY_STATS)[number]) => Math.max(0, ns[stat] / 1e9 - RESOLUTION_MS / 1000);
      const values = DELAY_STATS.map((stat) => ({ labels: { stat }, value: seconds(stat) }));
      delay.reset();
      return values;
    },
    socket_bridge_process_memory_bytes: () => [{ value: process.memoryUsage.rss() }],
    ...asked,
  };
  const counters = new Map<MetricName, Counter<string>>();
  const histograms = new Map<MetricName, Histogram<string>>();
  for (const name of Object.keys(METRICS) as MetricName[]) {
    const { type, help, labels = {}, buckets = [], from } = metricOf(name);
    if (!from.includes(source) || (part !== "all" && OF_PROCESS.has(name) !== (part === "process"))) continue;
    const common = { name, help, labelNames: Object.keys(labels), registers: [registry] };
    if (type === "counter") counters.set(name, new Counter(common));
    else if (type === "histogram") histograms.set(name, new Histogram({ ...common, buckets: [...buckets] }));
    else {
      const now = gauges[name as GaugeName];
      const gauge: Gauge<string> = new Gauge({
        ...common,
        collect() {
          gauge.reset();
          for (const { labels: of = {}, value } of now?.() ?? []) gauge.set(of, value);
        },
      });
    }
  }
  return {
    count: (name, labels = {}) => counters.get(name)?.inc(labels),
    observe: (name, seconds, labels = {}) => histograms.get(name)?.observe(labels, Math.max(0, seconds)),
    text: () => registry.metrics(),
    stop: () => delay.disable(),
  };
}
