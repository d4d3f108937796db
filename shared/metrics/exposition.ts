import { METRICS, type MetricName, metricOf, OTHER } from "./table.ts";

/** The text format that every Prometheus supports. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** One sample of a metric. */
export interface Sample {
  name: MetricName;
  labels?: Readonly<Record<string, string>>;
  value: number;
}

/**
 * Renders the samples of one scrape in Prometheus's format. Needs no registry, so the edge can export them too. A label value
 * outside its list becomes `other`; NaN is left out.
 */
export function renderSamples(samples: readonly Sample[]): string {
  const byName = Map.groupBy(
    samples.filter(({ value }) => Number.isFinite(value)),
    ({ name }) => name,
  );
  const blocks = (Object.keys(METRICS) as MetricName[]).flatMap((name) => {
    const here = byName.get(name);
    return here ? [[...headOf(name), ...here.map(rowOf)].join("\n")] : [];
  });
  return blocks.length === 0 ? "" : `${blocks.join("\n")}\n`;
}

function headOf(name: MetricName): string[] {
  const { help, type } = metricOf(name);
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}

function rowOf({ name, labels = {}, value }: Sample): string {
  const sets = metricOf(name).labels ?? {};
  const pairs = Object.entries(sets).map(([label, values]) => {
    const given = labels[label] ?? OTHER;
    const shown = "of" in values || values.includes(given) ? given : OTHER;
    return `${label}="${escape(shown)}"`;
  });
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
}

const escape = (text: string): string =>
  text
    .replaceAll("\\", "\\\\")
    .replaceAll('"', String.raw`\"`)
    .replaceAll("\n", String.raw`\n`);
