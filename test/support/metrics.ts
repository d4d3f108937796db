import { type MetricName, METRICS, metricOf, type Source } from "../../shared/metrics/table.ts";

/** What a /metrics answered, by the name of the metric and its labels. */
export function parseMetrics(text: string): ReadonlyMap<string, number> {
  const rows = [...text.matchAll(/^(\w+(?:\{[^}]*\})?) ([^ ]+)$/gm)];
  return new Map(rows.map(([, name = "", value]) => [name, Number(value)]));
}

/** The names that the text has a head for, each once. */
export const namesIn = (text: string): string[] => [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name = ""]) => name);

export const namesFrom = (source: Source): MetricName[] =>
  (Object.keys(METRICS) as MetricName[]).filter((name) => metricOf(name).from.includes(source));
