import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";

/**
 * `npm test`: everything that is quick, each step by itself, so that one that fails hides no other. Ends with the line
 * `N passed, N failed` and a non-zero exit code if anything failed. Arguments are handed to vitest.
 */
const RESULTS = ".run/test-results.json";
const HELP = `npm test [-- VITEST ARGUMENTS]

Checks the format, the lint and the types, and runs the unit and integration tests on a real Redis and real sockets.
One file: npm test -- test/unit/gate.test.ts
`;

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

function run(title: string, command: string, args: readonly string[]): boolean {
  process.stdout.write(`\n== ${title}\n`);
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error) process.stdout.write(`${command} could not be run: ${error.message}\n`);
  return status === 0;
}

function runTests(args: readonly string[]): Tally {
  mkdirSync(".run", { recursive: true });
  rmSync(RESULTS, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${RESULTS}`];
  const passed = run("tests", "vitest", ["run", "--config", "test/vitest.config.ts", ...reporters, ...args]);
  if (!existsSync(RESULTS)) return { passed: 0, failed: 1, skipped: 0 };
  const results = JSON.parse(readFileSync(RESULTS, "utf8")) as {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
  };
  // A run may fail with no test failed: a file that does not load, an unhandled rejection.
  const failed = Math.max(results.numFailedTests, passed ? 0 : 1);
  return { passed: results.numPassedTests, failed, skipped: results.numPendingTests };
}

const args = process.argv.slice(2);
if (args.includes("--help")) {
  process.stdout.write(HELP);
} else {
  const checks = [
    run("format", "oxfmt", ["--check"]),
    run("lint", "oxlint", ["--type-aware"]),
    run("folders", "node", ["tools/check/folders.ts"]),
    run("types", "tsc", ["-p", "."]),
  ];
  const tests = runTests(args);
  const passed = checks.filter(Boolean).length + tests.passed;
  const failed = checks.filter((ok) => !ok).length + tests.failed;
  process.stdout.write(`\n${passed} passed, ${failed} failed${tests.skipped ? `, ${tests.skipped} skipped` : ""}\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}
