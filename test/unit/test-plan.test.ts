import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { planOf } from "../../tools/test/run.ts";

test("without arguments the checks, the unit tests and the integration tests that guard the promise run", () => {
  const { checks, vitest } = planOf([]);
  expect(checks).toBe(true);
  expect(vitest).toContain("test/unit/");
  const files = vitest.filter((arg) => arg.endsWith(".test.ts"));
  expect(files.length).toBeGreaterThan(5);
  for (const file of files) expect(existsSync(file), file).toBe(true);
});

test.each([
  ["--all runs the checks and every file", ["--all"], { checks: true, vitest: [] }],
  ["a pattern runs only the files that it names", ["unit/seal"], { checks: false, vitest: ["unit/seal"] }],
  [
    "vitest's own arguments go to vitest",
    ["delivery", "-t", "order"],
    { checks: false, vitest: ["delivery", "-t", "order"] },
  ],
])("%s", (_, args, plan) => {
  expect(planOf(args)).toEqual(plan);
});
