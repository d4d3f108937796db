import { expect, test } from "vitest";
import { type MinuteNote, toHours, toMinutes } from "../../shared/health/history.ts";
import { createTimes } from "../../worker/runtime/history.ts";

const note = (at: number, settled: Record<string, number>, unsettled = 0): MinuteNote => ({
  ...{ at, settled, unsettled, p50: null, p95: null, ready: true },
});

test("a minute counts what was settled and accepted since the note before it", () => {
  const notes = [note(1, { confirmed: 10 }, 5), note(2, { confirmed: 13, failed: 1 }, 3)];
  expect(toMinutes(notes)).toMatchObject([{ at: 2, settled: 4, accepted: 2, undelivered: 1, unsettled: 3 }]);
});

test("counts that went down are those of a store that was emptied, and make no minute", () => {
  expect(toMinutes([note(1, { confirmed: 10 }), note(2, { confirmed: 3 }), note(3, { confirmed: 4 })])).toMatchObject([
    { at: 3, settled: 1 },
  ]);
  expect(toMinutes([note(1, {})])).toEqual([]);
});

const HOUR = 3_600_000;

test("the last hour counts up to now, the first from when it was measured, and those before not at all", () => {
  const now = 1000 * HOUR + HOUR / 2;
  const hash = { from: String(998 * HOUR + HOUR / 2), "998": String(HOUR / 4), "999": String(HOUR), "1000": "900000" };
  const hours = toHours(hash, now);
  expect(hours).toHaveLength(24);
  expect(hours.slice(-4)).toEqual([
    { at: 997 * HOUR, readyPercent: null },
    { at: 998 * HOUR, readyPercent: 50 },
    { at: 999 * HOUR, readyPercent: 100 },
    { at: 1000 * HOUR, readyPercent: 50 },
  ]);
  expect(toHours({}, now).every(({ readyPercent }) => readyPercent === null)).toBe(true);
});

test("percentiles are those of one minute, and of more times than are kept roughly those of all", () => {
  const times = createTimes(Math.random);
  for (let ms = 1; ms <= 100; ms += 1) times.add(ms);
  expect(times.take()).toEqual({ p50: 50, p95: 95 });
  expect(times.take()).toEqual({ p50: null, p95: null });
  for (let ms = 0; ms < 20_000; ms += 1) times.add(ms);
  const { p50 } = times.take();
  expect(p50).toBeGreaterThan(7000);
  expect(p50).toBeLessThan(13_000);
});
