import { functionsEnv } from "../../functions/config/node-config.ts";
import { PROBLEMS } from "../../functions/http/problem.ts";
import { orderedBy } from "../../functions/openapi/parts.ts";
import { commands } from "../../shared/commands/table.ts";
import { describeConfig, sharedEnv } from "../../shared/config/config.ts";
import { sealingEnv } from "../../shared/sealing/open-sealer.ts";
import { type MetricName, METRICS, metricOf } from "../../shared/metrics/table.ts";
import { INCIDENT_STATUS_WORDS, PRIORITIES, UNIT_STATUS_WORDS } from "../../shared/vocabulary/words.ts";
import { rulesFile } from "./alerts.ts";
import { dashboardFile } from "./dashboard.ts";
import { workerEnv } from "../../worker/config/worker-env.ts";

const row = (...cells: string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;

function commandRows(): string[] {
  return commands.map((c) => {
    const notes = [
      c.latestWins ? "latest wins" : "",
      c.ttlSeconds === undefined ? "" : `expires after ${c.ttlSeconds} s`,
      c.echo ? "" : "no echo",
    ];
    const ways = orderedBy(c.examples.map(({ body }) => c.keys(c.body.parse(body))));
    return row(
      `POST /${c.name}`,
      c.role,
      c.emits.map((event) => `\`${event}\``).join(", "),
      ways.map((kinds) => kinds.join(" + ")).join(", or "),
      notes.filter(Boolean).join(", "),
    );
  });
}

function configRows(): string[] {
  const both = new Set(Object.keys({ ...sharedEnv, ...sealingEnv }));
  const rows = [
    ...describeConfig(functionsEnv).map((v) => ({ ...v, process: both.has(v.name) ? "both" : "functions" })),
    ...describeConfig(workerEnv).flatMap((v) => (both.has(v.name) ? [] : [{ ...v, process: "worker" }])),
  ];
  return rows.map((v) =>
    row(`\`${v.name}\``, v.process, v.fallback === "required" ? "**required**" : v.fallback, v.description),
  );
}

const problemRows = (): string[] =>
  Object.entries(PROBLEMS)
    .toSorted(([, a], [, b]) => a.status - b.status)
    .map(([code, { status, title, hint }]) => row(String(status), `\`${code}\``, title, hint));

/** Longer lists are shown as their length. */
const LISTED = 10;
function metricRows(): string[] {
  return (Object.keys(METRICS) as MetricName[]).map((name) => {
    const { type, from, labels = {}, help } = metricOf(name);
    const shown = Object.entries(labels).map(([label, values]) => {
      const set = "of" in values ? values.of : values.length <= LISTED ? values.join(", ") : `${values.length} values`;
      return `\`${label}\` (${set})`;
    });
    return row(`\`${name}\``, type, from.join(", "), shown.join("; "), help);
  });
}

const list = (words: string[]) => words.map((word) => `\`${word}\``).join(", ");

/** The enum words of the API's fields: one row per CAD value, with every word that maps to it. */
function wordRows(): string[] {
  const tables = { priority: PRIORITIES, "unit status": UNIT_STATUS_WORDS, "incident status": INCIDENT_STATUS_WORDS };
  return Object.entries(tables).flatMap(([field, table]) => {
    const byValue = [...Map.groupBy(Object.keys(table), (word) => String(table[word]))];
    const same =
      table === PRIORITIES ? [] : byValue.flatMap(([value, words]) => (words.join() === value ? [value] : []));
    const others = byValue.filter(([value]) => !same.includes(value));
    return [
      ...others.map(([value, words]) => row(field, list(words), `\`${value}\``)),
      ...(same.length > 0 ? [row(field, list(same), "the same word")] : []),
    ];
  });
}

/** The tables of the docs derived from the code, by page and marker name. */
export const TABLES: Readonly<Record<string, Readonly<Record<string, () => string[]>>>> = {
  "docs/api.md": { commands: commandRows, words: wordRows, problems: problemRows },
  "docs/operations.md": { metrics: metricRows },
  "docs/configuration.md": { variables: configRows },
};

/** The files derived entirely from the code. */
export const FILES: Readonly<Record<string, () => string>> = {
  "deploy/prometheus/socket-bridge.rules.yml": () => rulesFile(),
  "deploy/grafana/socket-bridge.json": dashboardFile,
};

/**
 * A page with the rows of its derived tables renewed: those between the header after `<!-- table: NAME -->` and
 * `<!-- end -->`. Throws if a page lacks the markers.
 */
export function renewTables(page: string, text: string): string {
  return Object.entries(TABLES[page] ?? {}).reduce((before, [name, rows]) => {
    const table = new RegExp(`(<!-- table: ${name} -->\n\\|.*\n\\|.*\n)[^]*?(?=<!-- end -->)`);
    if (!table.test(before)) throw new Error(`${page} has no table ${name}: see tools/docs/tables.ts`);
    return before.replace(table, (_all, header: string) => `${header}${rows().join("\n")}\n`);
  }, text);
}
