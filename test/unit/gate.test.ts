import { expect, test } from "vitest";
import { createGate, type Pass } from "../../worker/gate.ts";
import { until } from "../support/until.ts";

function fresh() {
  const stopping = new AbortController();
  const state = { waitsFor: undefined as string | undefined };
  const gate = createGate({ notReady: () => state.waitsFor, signal: stopping.signal, random: () => 0 });
  /** Who entered so far, in order. */
  const entered: Pass[] = [];
  const knock = () => void gate.enter().then((pass) => pass && entered.push(pass));
  const enterNow = async () => {
    const pass = await gate.enter();
    if (!pass) throw new Error("stopped");
    return pass;
  };
  const failThrice = async () => {
    for (const unit of ["1", "2", "3"]) (await enterNow()).done("unconfirmed", unit);
  };
  return { gate, state, stopping, entered, knock, enterNow, failThrice };
}

test("commands wait while the CAD is not ready, and go on as soon as it is", async () => {
  const { gate, state, entered, knock } = fresh();
  state.waitsFor = "the CAD";
  knock();
  knock();
  expect(gate.shut()).toBe("the CAD");
  state.waitsFor = undefined;
  gate.changed();
  await until("both have entered", () => entered.length === 2);
});

test("it shuts after three different units in a row got no confirmation", async () => {
  const { gate, failThrice } = fresh();
  await failThrice();
  expect(gate.shut()).toMatch(/confirms none/);
});

test("one unit that is never confirmed does not shut it for the others", async () => {
  const { gate, enterNow } = fresh();
  for (let i = 0; i < 20; i += 1) (await enterNow()).done("unconfirmed", "1");
  expect(gate.shut()).toBeUndefined();
});

test("a confirmation between the missing ones keeps it open", async () => {
  const { gate, enterNow } = fresh();
  for (const unit of ["1", "2"]) (await enterNow()).done("unconfirmed", unit);
  (await enterNow()).done("answered", "3");
  for (const unit of ["4", "5"]) (await enterNow()).done("unconfirmed", unit);
  expect(gate.shut()).toBeUndefined();
});

test("once shut it lets single commands through, and opens for all when one is confirmed", async () => {
  const { gate, entered, knock, failThrice } = fresh();
  await failThrice();
  for (let i = 0; i < 5; i += 1) knock();
  await until("the first probe enters", () => entered.length > 0);
  expect(entered).toHaveLength(1);
  entered[0]?.done("unconfirmed", "4");
  await until("the second probe enters", () => entered.length > 1);
  expect(entered).toHaveLength(2);
  entered[1]?.done("answered", "5");
  await until("all have entered", () => entered.length === 5);
  expect(gate.shut()).toBeUndefined();
});

test("a probe whose connection broke gives its place to the next", async () => {
  const { entered, knock, failThrice } = fresh();
  await failThrice();
  knock();
  knock();
  await until("the first probe enters", () => entered.length === 1);
  entered[0]?.done("nothing");
  await until("the second probe enters", () => entered.length === 2);
});

test("a stop lets nobody in any more", async () => {
  const { gate, state, stopping } = fresh();
  state.waitsFor = "the CAD";
  const waiting = gate.enter();
  stopping.abort();
  expect(await waiting).toBeUndefined();
  expect(await gate.enter()).toBeUndefined();
});

test("missing confirmations of units whose neighbours are answered meanwhile do not shut it", async () => {
  const { gate, enterNow } = fresh();
  const bad = await Promise.all(["1", "2", "3", "4"].map(() => enterNow()));
  (await enterNow()).done("answered", "good");
  for (const [i, pass] of bad.entries()) pass.done("unconfirmed", `bad ${i}`);
  expect(gate.shut()).toBeUndefined();
});
