import { afterEach, expect, test, vi } from "vitest";
import { createPace } from "../../worker/destinations/pace.ts";

afterEach(() => void vi.useRealTimers());

const never = new AbortController().signal;

test("so many a second go out, and those that may go at once do", async () => {
  const pace = createPace(50);
  const started = performance.now();
  await pace(never);
  expect(performance.now() - started).toBeLessThan(15);
  await Promise.all(Array.from({ length: 25 }, () => pace(never)));
  expect(performance.now() - started).toBeGreaterThan(490);
});

test("a machine's clock that is set back by an hour lets nothing wait for an hour", async () => {
  const pace = createPace(10);
  const turns = Array.from({ length: 10 }, () => pace(never));
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 3_600_000 });
  const started = performance.now();
  await Promise.all([...turns, pace(never), pace(never)]);
  expect(performance.now() - started).toBeLessThan(5000);
});

test("waiting requests are released when the worker stops", async () => {
  const stopping = new AbortController();
  const pace = createPace(0.001);
  await pace(stopping.signal);
  const waiting = pace(stopping.signal);
  stopping.abort();
  await waiting;
});
