import { METRICS, type MetricName, metricOf, OTHER } from "./table.ts";

/** The text format that every Prometheus reads. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** One number of a metric. */
export interface Sample {
  name: MetricName;
  labels?: Readonly<Record<string, string>>;
  value: number;
}

/**
 * Numbers that were read for one scrape, as Prometheus reads them. They need no registry, so the edge can export them too.
 * A label whose value its list does not have says `other`; a number that is none is left out.
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
