import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize, resolve } from "node:path";

/**
 * The folders of each package, lowest first: a file may import from its own folder and from earlier ones in this list,
 * never from later ones. A file listed by itself has that place; all others have that of their folder.
 */
export const LAYERS: readonly string[] = [
  "client",
  "client/examples",
  "shared/util",
  "shared/vocabulary",
  "shared/config",
  "shared/tracing",
  "shared/redis",
  "shared/cads",
  "shared/sealing",
  "shared/audit",
  "shared/outbox",
  "shared/moves",
  "shared/journal",
  "shared/destinations",
  "shared/commands",
  "shared/events",
  "shared/state",
  "shared/health",
  "shared/metrics",
  "functions/http",
  "functions/config",
  "functions/backend",
  "functions/middleware",
  "functions/routes",
  "functions/openapi",
  "functions/asyncapi",
  "functions/admin",
  "functions/app.ts",
  "functions/cads",
  "functions/hosts/edge",
  "functions/hosts",
  "worker/cad",
  "worker/delivery",
  "worker/events/handlers",
  "worker/destinations",
  "worker/config",
  "worker/events",
  "worker/admission",
  "worker/commands",
  "worker/paging",
  "worker/runtime",
  "worker/fleet",
  "worker/main.ts",
  "tools/setup",
  "tools/support",
  "tools/check",
  "tools/docs",
  "tools/model",
  "tools/simulator",
  "tools/audit",
  "tools/conform/cad",
  "tools/conform/probes",
  "tools/conform",
  "tools/doctor",
  "tools/routes",
  "tools/replay",
  "tools/up",
  "tools/bench/measure",
  "tools/bench/load",
  "tools/bench/rig",
  "tools/bench/naive",
  "tools/bench/parts",
  "tools/bench",
  "tools/chaos/check",
  "tools/chaos/load",
  "tools/chaos/rig",
  "tools/chaos/faults",
  "tools/chaos",
  "tools/simulate/world",
  "tools/simulate/hosts",
  "tools/simulate/ports",
  "tools/simulate/check",
  "tools/simulate/plan",
  "tools/simulate",
  "tools/test",
  "tools/token",
];

/** Which packages each package may import from. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  client: ["client", "shared"],
  shared: ["shared"],
  functions: ["functions", "shared"],
  worker: ["worker", "shared"],
  tools: ["tools", "worker", "functions", "shared"],
};

const IMPORT = /(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g;
const packageOf = (file: string) => file.slice(0, file.indexOf("/"));
const rankOf = (file: string) => Math.max(LAYERS.indexOf(file), LAYERS.indexOf(dirname(file)));

/** The violation of one import, as a sentence; undefined if its direction is right. */
export function checkImport(file: string, imported: string): string | undefined {
  const [from, to] = [packageOf(file), packageOf(imported)];
  if (!PACKAGES[from]?.includes(to)) return `${file} imports ${imported}: ${from}/ may not import from ${to}/`;
  if (from !== to || dirname(file) === dirname(imported)) return undefined;
  for (const each of [file, imported]) {
    if (rankOf(each) < 0) return `${each}: its folder is not listed in tools/check/folders.ts; add it where it belongs`;
  }
  if (rankOf(imported) < rankOf(file)) return undefined;
  return `${file} imports ${imported}: ${dirname(imported)}/ is above ${dirname(file)}/ in tools/check/folders.ts`;
}

/** Every import between files of `root` that runs in the wrong direction. */
export function checkFolders(root: string): string[] {
  const list = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts"], {
    cwd: root,
    encoding: "utf8",
  });
  const files = list
    .split("\n")
    .filter((file) => PACKAGES[packageOf(file)] !== undefined && existsSync(join(root, file)));
  const imports = files.flatMap((file) => {
    const source = readFileSync(join(root, file), "utf8");
    return [...source.matchAll(IMPORT)].map(([, path = ""]): Import => [file, normalize(join(dirname(file), path))]);
  });
  return [...imports.flatMap(([file, imported]) => checkImport(file, imported) ?? []), ...checkPairs(imports)];
}

type Import = readonly [file: string, imported: string];

/** Pairs of folders that import each other, which a file listed by itself could hide. */
export function checkPairs(imports: readonly Import[]): string[] {
  const arrows = new Set(imports.map(([file, imported]) => `${dirname(file)}/ and ${dirname(imported)}/`));
  return [...arrows].flatMap((arrow) => {
    const [from = "", to = ""] = arrow.split(" and ");
    return from < to && arrows.has(`${to} and ${from}`) ? [`${arrow} import each other`] : [];
  });
}

if (import.meta.main) {
  const wrong = checkFolders(resolve(import.meta.dirname, "../.."));
  for (const each of wrong) process.stdout.write(`${each}\n`);
  process.stdout.write(
    wrong.length === 0 ? "Imports run in one direction.\n" : `${wrong.length} imports in the wrong direction.\n`,
  );
  process.exitCode = wrong.length === 0 ? 0 : 1;
}
