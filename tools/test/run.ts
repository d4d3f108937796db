import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { QUICK_INTEGRATION } from "./quick.ts";

/**
 * `npm test`: runs every step, so that one failure does not hide another. Ends with the line `N passed, N failed`, and a
 * non-zero exit code if anything failed.
 */
const RESULTS = ".run/test-results.json";
const HELP = `npm test                 format, lint, types, unit tests, and the integration tests that guard delivery and order
npm test -- --all        everything, with the functions in workerd as well
npm test -- PATTERN ...  only the test files whose paths contain a PATTERN; other arguments go to vitest

All tests use a real Redis and real sockets. Examples:
  npm test -- unit/admission-state
  npm test -- delivery -t "no command overtakes"
`;

/** With --all, a failed file is retried once alone. With more failed files, load is not the cause. */
const MAX_RETRIED_FILES = 2;

export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  /** Test files with a failure. */
  failedFiles: string[];
}

function run(title: string, command: string, args: readonly string[]): boolean {
  process.stdout.write(`\n== ${title}\n`);
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error) process.stdout.write(`${command} could not be run: ${error.message}\n`);
  return status === 0;
}

function runTests(title: string, args: readonly string[]): Tally {
  mkdirSync(".run", { recursive: true });
  rmSync(RESULTS, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${RESULTS}`];
  const passed = run(title, "vitest", ["run", "--config", "test/vitest.config.ts", ...reporters, ...args]);
  if (!existsSync(RESULTS)) return { passed: 0, failed: 1, skipped: 0, failedFiles: [] };
  const results = JSON.parse(readFileSync(RESULTS, "utf8")) as {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
    testResults: { name: string; status: string }[];
  };
  // A run may fail without a failed test: a file that does not load, an unhandled rejection.
  const failed = Math.max(results.numFailedTests, passed ? 0 : 1);
  const failedFiles = results.testResults.filter((file) => file.status === "failed").map((file) => file.name);
  return { passed: results.numPassedTests, failed, skipped: results.numPendingTests, failedFiles };
}

/** The files to retry alone; none if nothing failed, too much failed, or the failure belongs to no file. */
export function retriedFiles({ failed, failedFiles }: Tally): string[] {
  const files = [...new Set(failedFiles)];
  return failed > 0 && files.length <= MAX_RETRIED_FILES ? files : [];
}

/**
 * Flaky: failed with the others, passed alone. Such a test is reported and counted but does not fail the run: it is a
 * defect of the test or the code to be found, but not necessarily of this change.
 */
export function withRetry(first: Tally, again: Tally): Tally & { flaky: number } {
  if (again.failed > 0 || again.passed === 0) return { ...first, flaky: 0 };
  return { ...first, failed: 0, flaky: first.failed };
}

/** The vitest arguments for this command line; `checks`: whether format, lint and types run as well. */
export function planOf(args: readonly string[]): { checks: boolean; vitest: string[] } {
  if (args.length === 0) {
    const files = QUICK_INTEGRATION.map((name) => `test/integration/${name}.test.ts`);
    return { checks: true, vitest: ["--project", "node", "test/unit/", ...files] };
  }
  const rest = args.filter((arg) => arg !== "--all");
  return { checks: rest.length < args.length, vitest: rest };
}

function runChecks(): boolean[] {
  return [
    run("format", "oxfmt", ["--check"]),
    run("lint", "oxlint", ["--type-aware"]),
    run("folders", "node", ["tools/check/folders.ts"]),
    run("types", "tsc", ["-p", "."]),
  ];
}

function main(args: readonly string[]): void {
  if (args.includes("--help")) return void process.stdout.write(HELP);
  const plan = planOf(args);
  const checks = plan.checks ? runChecks() : [];
  const first = runTests("tests", plan.vitest);
  const retried = plan.checks && args.includes("--all") ? retriedFiles(first) : [];
  const tests =
    retried.length > 0 ? withRetry(first, runTests("failed files, once more", retried)) : { ...first, flaky: 0 };
  if (tests.flaky > 0) process.stdout.write(`\nFlaky, passed alone; find the cause:\n  ${retried.join("\n  ")}\n`);
  const passed = checks.filter(Boolean).length + tests.passed;
  const failed = checks.filter((ok) => !ok).length + tests.failed;
  if (args.length === 0) process.stdout.write("\nAll tests, including the edge: npm test -- --all\n");
  const more = [tests.flaky && `${tests.flaky} flaky`, tests.skipped && `${tests.skipped} skipped`].filter(Boolean);
  process.stdout.write(`\n${[`${passed} passed`, `${failed} failed`, ...more].join(", ")}\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (import.meta.main) main(process.argv.slice(2));
