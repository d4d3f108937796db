import { functionsEnv } from "../../functions/config/node-config.ts";
import { orderedBy } from "../../functions/openapi/parts.ts";
import { commands } from "../../shared/commands/table.ts";
import { describeConfig, sharedEnv } from "../../shared/config/config.ts";
import { sealingEnv } from "../../shared/sealing/open-sealer.ts";
import { workerEnv } from "../../worker/config.ts";

/** The tables of the README that the code knows better than any text: they are compared with it, row by row. */

const row = (...cells: string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;

export function endpointTable(): string[] {
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

export function configTable(): string[] {
  const both = new Set(Object.keys({ ...sharedEnv, ...sealingEnv }));
  const rows = [
    ...describeConfig(functionsEnv).map((v) => ({ ...v, who: both.has(v.name) ? "both" : "functions" })),
    ...describeConfig(workerEnv).flatMap((v) => (both.has(v.name) ? [] : [{ ...v, who: "worker" }])),
  ];
  return rows.map((v) =>
    row(`\`${v.name}\``, v.who, v.fallback === "required" ? "**required**" : v.fallback, v.description),
  );
}
