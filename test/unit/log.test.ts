import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createLog } from "../../shared/util/log.ts";

// Never closed: a log may write to it as long as the process runs.
const stdout = openSync("/dev/null", "w");

function openLog() {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-log-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "log.json");
  const opened = createLog({ name: "test", level: "info", file, stdout });
  const numbers = () =>
    readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { n: number }).n);
  return { ...opened, numbers };
}

test("lines that are logged while a write is under way follow it in order, and none is lost", async () => {
  const logs = Array.from({ length: 8 }, openLog);
  await Promise.all(
    logs.map(async ({ log, drain, numbers }) => {
      // Larger than the buffer: a write begins.
      log.info({ n: 0, text: "x".repeat(200_000) }, "large");
      for (let n = 1; n < 10; n += 1) log.info({ n }, "small");
      await drain();
      expect(numbers()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }),
  );
});

test("a log is drained before its file was opened, and when there is nothing to write", async () => {
  const { log, drain, numbers } = openLog();
  log.info({ n: 0 }, "first");
  await drain();
  expect(numbers()).toEqual([0]);
  await drain();
  expect(numbers()).toEqual([0]);
});
