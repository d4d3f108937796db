import { expect, test } from "vitest";
import { createUptime, KEPT_HOURS, readUptime } from "../../worker/runtime/uptime.ts";

const HOUR = 3_600_000;
const T0 = 500_000 * HOUR;

test("nothing is known before it was measured", () => {
  const uptime = createUptime(undefined);
  expect(uptime.percent(24, T0)).toBeNull();
  uptime.note(true, T0);
  expect(uptime.percent(24, T0)).toBeNull();
});

test("the percentage is that of the time since it was first measured, until the window is full", () => {
  const uptime = createUptime(undefined);
  uptime.note(true, T0 + HOUR / 2);
  uptime.note(false, T0 + HOUR);
  uptime.note(true, T0 + 1.5 * HOUR);
  uptime.note(true, T0 + 2 * HOUR);
  expect(uptime.percent(24, T0 + 2 * HOUR)).toBe(66.67);
});

test("each window counts its own hours, and a time without a worker counts as not ready", () => {
  const before = createUptime(undefined);
  const saved: Record<string, string> = {};
  for (let n = 0; n <= 48; n += 1) {
    const { hour, ms, from } = before.note(true, T0 + n * HOUR);
    Object.assign(saved, { [hour]: String(ms), from: String(from) });
  }
  const after = createUptime(readUptime(saved));
  const now = T0 + 60 * HOUR;
  after.note(true, now);
  expect(after.percent(24, now)).toBe(54.17);
  expect(after.percent(KEPT_HOURS, now)).toBe(80);
});

test("the stored hours are bounded, however long it runs", () => {
  const uptime = createUptime(undefined);
  for (let n = 0; n < 2000; n += 1) uptime.note(true, T0 + n * HOUR);
  expect(uptime.percent(KEPT_HOURS, T0 + 1999 * HOUR)).toBe(100);
  expect(uptime.percent(24, T0 + 1999 * HOUR)).toBe(100);
});

test("a clock that goes back, and a hash that somebody wrote, do no harm", () => {
  const uptime = createUptime(readUptime({ from: "x" }));
  uptime.note(true, T0);
  uptime.note(true, T0 - HOUR);
  expect(uptime.percent(24, T0 - HOUR)).toBeNull();
  expect(readUptime({ from: "5", "1": "-7", y: "1", "2": "3" })).toEqual({ from: 5, hours: new Map([[2, 3]]) });
});
