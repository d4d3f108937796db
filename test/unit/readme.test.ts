import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ENDPOINTS, ROLES } from "../../shared/roles.ts";
import { configTable, endpointTable } from "../support/readme.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

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

test("the README names no variable or command that does not exist", () => {
  const scripts = Object.keys(
    (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { scripts: object }).scripts,
  );
  const named = [...readme.matchAll(/npm run ([a-z]+)/g)].map((m) => m[1] ?? "");
  expect(named.length).toBeGreaterThan(3);
  for (const name of named) expect(scripts).toContain(name);
});
