import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";
import { functionsEnv } from "../../functions/config/node-config.ts";
import { edgeEnv } from "../../functions/hosts/edge/config.ts";
import { ENDPOINTS, ROLES } from "../../shared/vocabulary/roles.ts";
import { configTable, endpointTable } from "../support/readme.ts";
import { workerEnv } from "../../worker/config.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const read = (name: string) => readFileSync(join(ROOT, name), "utf8");
const readme = read("README.md");
const pages = ["README.md", ...readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`)].map(
  (name) => [name, read(name)] as const,
);
const scripts = Object.keys((JSON.parse(read("package.json")) as { scripts: object }).scripts);
const variables = [
  ...Object.keys({ ...functionsEnv.shape, ...edgeEnv.shape, ...workerEnv.shape }).flatMap((name) => [
    name,
    `${name}_FILE`,
  ]),
  // Node's own.
  "NODE_EXTRA_CA_CERTS",
];

test.each([
  ["endpoints", endpointTable()],
  ["configuration", configTable()],
])("the README's table of %s says what the code says", (_what, rows) => {
  expect(readme).toContain(rows.join("\n"));
});

test("the README's table of endpoints names every one that is no command, with the role that it takes", () => {
  const told = new Map(
    [...readme.matchAll(/^\| (GET|POST|DELETE) ([^|]+) \| (\w+) \|/gm)].flatMap(
      ([, method = "", paths = "", who = ""]): [string, string][] =>
        paths.split(", ").map((path) => [`${method} ${path.trim()}`, who]),
    ),
  );
  for (const [endpoint, role] of Object.entries(ENDPOINTS))
    expect(told.get(endpoint), endpoint).toBe(role === ROLES.at(-1) ? "any" : role);
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

/** As GitHub makes them of headings. */
const anchorsOf = (markdown: string) =>
  [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, "")
      .replaceAll(" ", "-"),
  );
