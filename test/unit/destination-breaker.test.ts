import { expect, onTestFinished, test } from "vitest";
import type { DestinationState } from "../../shared/destinations/store.ts";
import { createDestinationBreaker, type Signal, type Pass } from "../../worker/destinations/circuit-breaker.ts";
import { until } from "../../tools/support/until.ts";

function fresh(saved?: DestinationState, places = 2) {
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  const changes: string[] = [];
  const entered: Pass[] = [];
  const breaker = createDestinationBreaker({
    places,
    pauseFromMs: () => 50,
    pauseToMs: 200,
    onChange: ({ state }) => void changes.push(state),
    signal: stopping.signal,
    random: () => 0,
  });
  breaker.begin(saved);
  const knock = (count: number) => {
    for (let i = 0; i < count; i += 1) void breaker.enter().then((pass) => pass && entered.push(pass));
  };
  const once = async (heard: Signal) => (await breaker.enter())?.done(heard);
  return { breaker, changes, entered, knock, once, stopping };
}
const failed = (keys: string): Signal => ({ what: "failed", keys, reason: "it answered 500" });
const unreachable: Signal = { what: "unreachable", reason: "it cannot be reached" };

test("nothing enters before it is known how the destination was left", async () => {
  const breaker = createDestinationBreaker({
    places: 1,
    pauseFromMs: () => 1,
    pauseToMs: 1,
    onChange: () => undefined,
    signal: new AbortController().signal,
    random: () => 0,
  });
  let entered = false;
  const enter = breaker.enter().then(() => (entered = true));
  await Promise.resolve();
  expect(entered).toBe(false);
  breaker.begin(undefined);
  await enter;
});

test("so many go out at once, and the next when one is done", async () => {
  const { breaker, entered, knock } = fresh();
  knock(3);
  await until("two have entered", () => entered.length === 2);
  expect(breaker.running()).toBe(2);
  entered[0]?.done({ what: "answered" });
  await until("the third has", () => entered.length === 3);
});

test("three failures in a row of different units pause it; of one unit never", async () => {
  const { breaker, once } = fresh();
  for (let i = 0; i < 10; i += 1) await once(failed("unit:A"));
  expect(breaker.state().state).toBe("ok");
  await once(failed("unit:B"));
  await once({ what: "answered" });
  for (const unit of ["A", "B"]) await once(failed(unit));
  expect(breaker.state().state).toBe("ok");
  await once(failed("C"));
  expect(breaker.state()).toMatchObject({ state: "paused", reason: "it answered 500", trips: 1 });
});

test("three times in a row without an answer pause it, whatever unit it was", async () => {
  const { breaker, once } = fresh();
  for (let i = 0; i < 3; i += 1) await once(unreachable);
  expect(breaker.state().state).toBe("paused");
});

test("paused, it lets one through at a time, each later than the last, and opens when that is answered", async () => {
  const { breaker, once, entered, knock, changes } = fresh();
  for (let i = 0; i < 3; i += 1) await once(unreachable);
  knock(3);
  await until("the first probe enters", () => entered.length === 1);
  entered[0]?.done(unreachable);
  expect(breaker.state().trips).toBe(2);
  await until("the second probe enters", () => entered.length === 2);
  expect(breaker.running()).toBe(1);
  entered[1]?.done({ what: "answered" });
  await until("all enter", () => entered.length === 3);
  expect(breaker.state().state).toBe("ok");
  expect(changes).toEqual(["paused", "paused", "ok"]);
});

test("what was sent before it asked to wait, and is answered after, does not open it", async () => {
  const { breaker } = fresh();
  const [first, second] = [await breaker.enter(), await breaker.enter()];
  first?.done({ what: "busy", inMs: 60_000, reason: "it answered 429" });
  second?.done({ what: "answered" });
  expect(breaker.state()).toMatchObject({ state: "paused", reason: "it answered 429" });
  expect(breaker.state().until - Date.now()).toBeGreaterThan(50_000);
});

test("it is left alone for an hour at most, whatever it asks for, and whatever the clock did", () => {
  const { breaker } = fresh({ state: "paused", reason: "x", since: 0, until: Date.now() + 1e12, trips: 1 });
  expect(breaker.isOpen()).toBe(false);
  expect(breaker.state().state).toBe("paused");
});

test("gone, nothing enters any more, not even what was sent before opens it, until somebody enables it", async () => {
  const { breaker, entered, knock } = fresh();
  const [first, second] = [await breaker.enter(), await breaker.enter()];
  first?.done({ what: "gone", reason: "it answered 410" });
  second?.done({ what: "answered" });
  knock(2);
  expect(breaker.state().state).toBe("disabled");
  expect(breaker.isOpen()).toBe(false);
  breaker.enable();
  await until("both enter", () => entered.length === 2);
  expect(breaker.state().state).toBe("ok");
});

test("a stop lets nobody in any more", async () => {
  const { breaker, stopping } = fresh({ state: "disabled", reason: "x", since: 0, until: 0, trips: 0 });
  const waiting = breaker.enter();
  stopping.abort();
  expect(await waiting).toBeUndefined();
  expect(await breaker.enter()).toBeUndefined();
});

test("one that asks to wait, but for no time at all, is not asked again without end", async () => {
  const { breaker, once } = fresh();
  const asked = Date.now();
  await once({ what: "busy", inMs: 0, reason: "it answered 429" });
  expect(breaker.state()).toMatchObject({ state: "paused" });
  expect(breaker.state().until).toBeGreaterThanOrEqual(asked + 1000);
});

test("what was sent before a pause and fails during it makes it no longer", async () => {
  const { breaker } = fresh(undefined, 8);
  const passes = await Promise.all(Array.from({ length: 8 }, () => breaker.enter()));
  for (const [i, pass] of passes.entries()) pass?.done(i % 2 ? unreachable : failed(`unit:${i}`));
  expect(breaker.state()).toMatchObject({ state: "paused", trips: 1 });
});
