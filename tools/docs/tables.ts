import { functionsEnv } from "../../functions/config/node-config.ts";
import { PROBLEMS } from "../../functions/http/problem.ts";
import { orderedBy } from "../../functions/openapi/parts.ts";
import { commands } from "../../shared/commands/table.ts";
import { describeConfig, sharedEnv } from "../../shared/config/config.ts";
import { sealingEnv } from "../../shared/sealing/open-sealer.ts";
import { workerEnv } from "../../worker/config.ts";

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

/** The tables of the docs that are derived from the code, by page and by the name that their markers have there. */
export const TABLES: Readonly<Record<string, Readonly<Record<string, () => string[]>>>> = {
  "docs/api.md": { commands: commandRows, problems: problemRows },
  "docs/configuration.md": { variables: configRows },
};

/**
 * A page with the rows of its derived tables renewed: they stand between the header, which follows `<!-- table: NAME -->`,
 * and `<!-- end -->`. Throws if a page lacks the markers.
 */
export function renewTables(page: string, text: string): string {
  return Object.entries(TABLES[page] ?? {}).reduce((before, [name, rows]) => {
    const table = new RegExp(`(<!-- table: ${name} -->\n\\|.*\n\\|.*\n)[^]*?(?=<!-- end -->)`);
    if (!table.test(before)) throw new Error(`${page} has no table ${name}: see tools/docs/tables.ts`);
    return before.replace(table, (_all, header: string) => `${header}${rows().join("\n")}\n`);
  }, text);
}
