import { expect, test } from "vitest";
import { chronologyWarnings, instantOf } from "../../shared/vocabulary/chronology.ts";
import { ETIMES } from "../../shared/vocabulary/etimes.ts";
import { CAD_TIME_COLUMNS } from "../../shared/vocabulary/cad-vocabulary.ts";

const NOW = Date.parse("2026-01-31T23:00:00Z");
const warnings = (times: Record<string, unknown>) =>
  chronologyWarnings(new Map(Object.entries(times)), NOW).map(({ code, columns }) => [code, ...columns]);

test("the times of a call that went well have no warnings, whatever their offsets", () => {
  const times = CAD_TIME_COLUMNS.map((column, i) => [column, `2026-01-31T22:${10 + i}:00Z`]);
  expect(warnings(Object.fromEntries(times))).toEqual([]);
  expect(warnings({ time_en_route: "2026-01-31T14:05:00-08:00", time_at_facility: "2026-01-31T22:06:00Z" })).toEqual(
    [],
  );
  expect(warnings({})).toEqual([]);
});

test("two times that are the same are in order", () => {
  expect(warnings({ time_en_route: "2026-01-31T22:05:00Z", time_at_facility: "2026-01-31T22:05:00Z" })).toEqual([]);
});

test("every pair that is out of order is named, whether or not others stand between", () => {
  expect(
    warnings({
      time_completed: "2026-01-31T22:01:00Z",
      time_en_route: "2026-01-31T22:00:00Z",
      time_at_facility: "2026-01-31T22:05:00Z",
      time_transporting: "2026-01-31T22:03:00Z",
    }),
  ).toEqual([
    ["order", "time_at_facility", "time_transporting"],
    ["order", "time_at_facility", "time_completed"],
    ["order", "time_transporting", "time_completed"],
  ]);
});

test("a time more than an hour ahead is warned of, one up to an hour is not", () => {
  expect(warnings({ time_en_route: "2026-02-01T00:00:00Z" })).toEqual([]);
  expect(warnings({ time_en_route: "2026-02-01T00:00:00.001Z", own_column: "2027-01-01T00:00:00Z" })).toEqual([
    ["future", "time_en_route"],
    ["future", "own_column"],
  ]);
});

test.each([null, 7, "", "soon", "2026-01-31T22:05:00", "2026-01-31", "2026-13-31T22:05:00Z", { a: 1 }])(
  "%j is no instant: it is warned of, and compared with nothing",
  (text) => {
    expect(warnings({ time_at_facility: text, time_completed: "2026-01-31T22:00:00Z" })).toEqual([
      ["unreadable", "time_at_facility"],
    ]);
  },
);

test.each([
  "2026-01-31T22:05:00Z",
  "2026-01-31T22:05:00.000+00:00",
  "2026-01-31 22:05:00+00",
  "2026-01-31T14:05:00-0800",
  "2026-01-31 22:05:00.000000 +00:00",
  "2026-01-31T22:05Z",
])("%s is an instant, however it is written", (text) => {
  expect(instantOf(text)).toBe(Date.parse("2026-01-31T22:05:00Z"));
});

test("every time column of the CAD is a different time of NEMSIS, in the order of both", () => {
  const codes = CAD_TIME_COLUMNS.map((column) => ETIMES[column].code);
  expect(codes).toEqual([...new Set(codes)].toSorted());
});
