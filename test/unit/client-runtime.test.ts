import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join, resolve } from "node:path";
import { expect, expectTypeOf, test } from "vitest";
import { METHODS } from "../../client/commands.ts";
import type { CommandBodies, HealthStatus } from "../../client/types.ts";
import type { Health } from "../../functions/routes/health.ts";
import { commands } from "../../shared/commands/table.ts";

const CLIENT = resolve(import.meta.dirname, "../../client");
const files = readdirSync(CLIENT).filter((name) => name.endsWith(".ts"));

test.each(files)("%s imports nothing at run time but files of its folder", (name) => {
  const code = stripTypeScriptTypes(readFileSync(join(CLIENT, name), "utf8"));
  const imported = [...code.matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g)].map(([, path = ""]) => path);
  expect(imported.filter((path) => !/^\.\/[\w-]+\.ts$/.test(path))).toEqual([]);
  expect(code).not.toMatch(/\b(?:process|Buffer|require|window|document)\b\s*[.(]/);
});

test("there is a method for every command of the table, and none for anything else", () => {
  expect(Object.keys(METHODS).toSorted()).toEqual(commands.map(({ name }) => name).toSorted());
  expect(new Set(Object.values(METHODS)).size).toBe(commands.length);
});

test("a command's body has the type of the table: an accepted form is accepted, a missing field is not", () => {
  expectTypeOf<{ unit_id: number; status: string; incident_id: null }>().toExtend<CommandBodies["units/status"]>();
  expectTypeOf<{ unit_id: string }>().not.toExtend<CommandBodies["units/status"]>();
});

test("the health that the bridge reports has the type of the client", () => {
  expectTypeOf<Health>().toExtend<HealthStatus>();
});
