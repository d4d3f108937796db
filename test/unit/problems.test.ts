import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createProblemTracker } from "../../shared/health/problem-tracker.ts";
import { found, PROBLEMS, RUNBOOK, statusOf } from "../../shared/health/problems.ts";

const ROOT = join(import.meta.dirname, "../..");
const runbook = readFileSync(join(ROOT, RUNBOOK), "utf8");
const codes = Object.entries(PROBLEMS);
/** What stands below the heading of a code, up to the next heading. */
const sectionOf = (code: string) => runbook.split(/^#+ /m).find((section) => section.startsWith(`${code}\n`));

test.each(codes)(
  "the runbook has a section for %s that says what it means, how to check, what to do, what is lost",
  (code, row) => {
    const section = sectionOf(code) ?? "";
    expect(section).toContain(`\`${row.severity}\``);
    for (const part of ["**Meaning**", "**Check**", "**Do**", "**Lost**"]) expect(section).toContain(part);
  },
);

test("the runbook has no section for a code that there is not", () => {
  const problemsPart = runbook.split(/^## /m).find((part) => part.startsWith("Problem codes")) ?? "";
  const headings = [...problemsPart.matchAll(/^### (.+)$/gm)].map(([, heading]) => heading);
  expect(headings).toEqual(codes.map(([code]) => code));
});

test.each(codes)("%s is in kebab case, and its texts are sentences", (code, row) => {
  expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
  for (const text of [row.hint, row.lost]) expect(text).toMatch(/^[A-Z].*\.$/s);
  expect(row.title).toMatch(/^[A-Z].*[^.]$/);
});

test.each([
  [[], "healthy"],
  [["notice"], "healthy"],
  [["notice", "warning"], "degraded"],
  [["warning", "critical", "notice"], "unhealthy"],
] as const)("problems of severity %j make the status %s", (severities, status) => {
  expect(statusOf(severities.map((severity) => ({ severity })))).toBe(status);
});

const AWAY = found("cad-disconnected", {});
const START = Date.parse("2026-01-31T22:00:00Z");
const at = (seconds: number) => new Date(START + 1000 * seconds).toISOString();

/** A tracker, and what it says at a time. */
function tracker(earlier: string | undefined) {
  let now = START;
  const { follow, inherit } = createProblemTracker(() => now);
  if (earlier !== undefined) inherit([{ ...AWAY, since: earlier }]);
  return (seconds: number, ...there: (typeof AWAY)[]) => {
    now = START + 1000 * seconds;
    return follow(there).map(({ since }) => since);
  };
}

test("a problem keeps the time at which it was first there, until it is resolved", () => {
  const since = tracker(undefined);
  expect(since(1, AWAY)).toEqual([at(1)]);
  expect(since(9, AWAY)).toEqual([at(1)]);
  expect(since(10)).toEqual([]);
  expect(since(11, AWAY)).toEqual([at(11)]);
});

const paused = (id: string) => found("destination-paused", { destination: id, reason: "" }, { about: id });

test("two destinations with the same problem have a beginning each", () => {
  const since = tracker(undefined);
  since(1, paused("a"));
  expect(since(2, paused("b"), paused("a"))).toEqual([at(2), at(1)]);
});

test("a beginning that is known is kept", () => {
  expect(tracker(undefined)(5, { ...AWAY, since: at(3) })).toEqual([at(3)]);
});

test("a problem of the worker before that is still there has its beginning from then", () => {
  const since = tracker(at(-3600));
  expect(since(0)).toEqual([]);
  expect(since(30, AWAY)).toEqual([at(-3600)]);
  expect(since(300, AWAY)).toEqual([at(-3600)]);
  since(301);
  expect(since(302, AWAY)).toEqual([at(302)]);
});

test("a problem that is not seen again for a minute is another one", () => {
  const since = tracker(at(-3600));
  since(61);
  expect(since(62, AWAY)).toEqual([at(62)]);
});
