import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";
import { functionsEnv } from "../../functions/config/node-config.ts";
import { edgeEnv } from "../../functions/hosts/edge/config.ts";
import { CADS_ENDPOINTS, ENDPOINTS, ROLES } from "../../shared/vocabulary/roles.ts";
import { FILES, renewTables, TABLES } from "../../tools/docs/tables.ts";
import { workerEnv } from "../../worker/config/worker-env.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const read = (name: string) => readFileSync(join(ROOT, name), "utf8");
const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: ROOT,
  encoding: "utf8",
})
  .split("\n")
  .filter((name) => name !== "" && existsSync(join(ROOT, name)));
const pages = files.filter((name) => name.endsWith(".md")).map((name) => [name, read(name)] as const);
const scripts = Object.keys((JSON.parse(read("package.json")) as { scripts: object }).scripts);
const variables = [
  ...Object.keys({ ...functionsEnv.shape, ...edgeEnv.shape, ...workerEnv.shape }).flatMap((name) => [
    name,
    `${name}_FILE`,
  ]),
  // Node's own.
  "NODE_EXTRA_CA_CERTS",
];

test("the README fits on one page", () => {
  expect(read("README.md").split("\n").length).toBeLessThanOrEqual(150);
});

test.each(Object.keys(TABLES))("the derived tables of %s are up to date (npm run docs renews them)", (page) => {
  expect(read(page)).toBe(renewTables(page, read(page)));
});

test.each(Object.entries(FILES))("%s is up to date (npm run docs renews it)", (name, make) => {
  expect(read(name)).toBe(make());
});

test("docs/api.md names every endpoint that is not a command, with the role that it takes", () => {
  const documented = new Map(
    [...read("docs/api.md").matchAll(/^\| (GET|POST|DELETE) ([^|]+) \| (\w+) \|/gm)].flatMap(
      ([, method = "", paths = "", role = ""]): [string, string][] =>
        paths.split(", ").map((path) => [`${method} ${path.trim()}`, role]),
    ),
  );
  for (const [endpoint, role] of Object.entries({ ...ENDPOINTS, ...CADS_ENDPOINTS }))
    expect(documented.get(endpoint), endpoint).toBe(role === ROLES.at(-1) ? "any" : role);
});

test.each(pages)("%s names no variable or command that does not exist", (_name, text) => {
  for (const [, command = ""] of text.matchAll(/npm run ([a-z]+)/g)) expect(scripts).toContain(command);
  for (const [, name = ""] of text.matchAll(/`([A-Z][A-Z\d]*(?:_[A-Z\d]+)+)`/g)) expect(variables).toContain(name);
});

test.each(pages)("every link of %s leads somewhere", (name, text) => {
  for (const [, link = ""] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
    const [file = "", anchor] = link.split("#");
    const target = resolve(ROOT, dirname(name), file === "" ? basename(name) : file);
    expect(existsSync(target), link).toBe(true);
    if (anchor !== undefined) expect(anchorsOf(readFileSync(target, "utf8")), link).toContain(anchor);
  }
});

test.each(pages.filter(([name]) => name.startsWith("docs/")))("the README leads to %s", (name) => {
  expect(read("README.md")).toContain(`](${name})`);
});

test("docs/architecture.md walks through files that exist and export what it names", () => {
  const steps = [...read("docs/architecture.md").matchAll(/^\| [^|]+ \| `([\w/.-]+\.ts)` \| `(\w+)` \|/gm)];
  expect(steps.length).toBeGreaterThan(15);
  for (const [, file = "", name = ""] of steps) {
    expect(files, `${name} in ${file}`).toContain(file);
    expect(read(file), `${file} exports ${name}`).toMatch(
      new RegExp(`^export (?:async )?(?:function\\*?|const|class) ${name}\\b`, "m"),
    );
  }
});

test("docs/architecture.md explains every folder, and none that does not exist", () => {
  const explained = [...read("docs/architecture.md").matchAll(/^\| `([\w./-]+)\/` \| [^|]+ \|$/gm)].map(
    ([, folder = ""]) => folder,
  );
  const folders = new Set(files.map((file) => dirname(file)).filter((folder) => folder !== "."));
  expect(explained.toSorted()).toEqual([...folders].toSorted());
});

/** As GitHub makes them of headings. */
const anchorsOf = (markdown: string) =>
  [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, "")
      .replaceAll(" ", "-"),
  );
