import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { planOf, retriedFiles, type Tally, withRetry } from "../../tools/test/run.ts";

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

const tally = (over: Partial<Tally>): Tally => ({ passed: 9, failed: 0, skipped: 0, failedFiles: [], ...over });

test.each([
  ["nothing failed", tally({}), []],
  ["one file failed", tally({ failed: 2, failedFiles: ["a", "a"] }), ["a"]],
  ["many files failed", tally({ failed: 3, failedFiles: ["a", "b", "c"] }), []],
  ["the run failed, but no file", tally({ failed: 1 }), []],
])("when %s, what runs once more is %s", (_, first, files) => {
  expect(retriedFiles(first)).toEqual(files);
});

test.each([
  ["passed is flaky, and fails nothing", tally({ passed: 3 }), { failed: 0, flaky: 2 }],
  ["failed again is failed", tally({ failed: 1 }), { failed: 2, flaky: 0 }],
  ["did not run is failed", tally({ passed: 0 }), { failed: 2, flaky: 0 }],
])("a failed file that, alone, %s", (_, again, outcome) => {
  expect(withRetry(tally({ failed: 2, failedFiles: ["a"] }), again)).toMatchObject({ passed: 9, ...outcome });
});
