import { expect, test } from "vitest";
import { prettyLine } from "../../shared/util/pretty-log.ts";

const line = (more: object) =>
  JSON.stringify({
    level: "warn",
    time: "2026-01-31T22:00:12.000Z",
    name: "worker",
    ...more,
    msg: "the lease is lost",
  });

test("a line for people has time, level, process, message and fields, on one line", () => {
  expect(prettyLine(line({ instance: "w-1", reason: "two words", n: 3 }))).toBe(
    '2026-01-31T22:00:12.000Z WARN  worker: the lease is lost instance=w-1 reason="two words" n=3\n',
  );
});

test("what somebody sent cannot break the line, and a stack stands on lines of its own", () => {
  expect(prettyLine(line({ reason: "a\nb" })).split("\n")).toHaveLength(2);
  expect(prettyLine(line({ stack: "Error: x\n  at f" }))).toMatch(/lost\n {4}Error: x\n {6}at f\n$/);
});

test("text that is not a log line is shown unchanged", () => {
  expect(prettyLine("plain\n")).toBe("plain\n");
});
