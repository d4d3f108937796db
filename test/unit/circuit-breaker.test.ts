import { describe, expect, test } from "vitest";
import { createCircuitBreaker, type Signal, type Pass } from "../../worker/commands/circuit-breaker.ts";
import { until } from "../../tools/support/until.ts";

function fresh() {
  const stopping = new AbortController();
  const state = { waitsFor: undefined as string | undefined, connection: 1 };
  const breaker = createCircuitBreaker({
    notReady: () => state.waitsFor,
    connection: () => state.connection,
    keysOf: async (id) => [`unit:${id}`],
    signal: stopping.signal,
    random: () => 0,
  });
  /** Who entered so far, in order. */
  const entered: { id: string; pass: Pass; end(heard: Signal): void }[] = [];
  const knockAlone = async (id: string) => {
    const pass = await breaker.enter(id);
    if (pass) entered.push({ id, pass, end: (heard) => pass.done(heard, [`unit:${id}`]) });
  };
  const knock = (...ids: string[]) => void Promise.all(ids.map(knockAlone));
  const enterNow = async (id: string) => {
    const pass = await breaker.enter(id);
    if (!pass) throw new Error("stopped");
    return { pass, end: (heard: Signal) => pass.done(heard, [`unit:${id}`]) };
  };
  const failThrice = async (heard: Signal = "unconfirmed") => {
    for (const id of ["1", "2", "3"]) (await enterNow(id)).end(heard);
  };
  return { breaker, state, stopping, entered, knock, enterNow, failThrice };
}
const idsOf = (all: { id: string }[]) => all.map(({ id }) => id);

test("commands wait while the CAD is not ready, and go on as soon as it is", async () => {
  const { breaker, state, entered, knock } = fresh();
  state.waitsFor = "the CAD";
  knock("1", "2");
  expect(breaker.shut()).toBe("the CAD");
  state.waitsFor = undefined;
  breaker.changed();
  await until("both have entered", () => entered.length === 2);
});

test("it shuts after three different units in a row got no confirmation", async () => {
  const { breaker, failThrice } = fresh();
  await failThrice();
  expect(breaker.shut()).toMatch(/confirms none/);
});

test.each([
  ["one unit", () => ["unit:1"]],
  ["one incident, whatever its units", (i: number) => [`unit:${i}`, "incident:1"]],
])("%s that is never confirmed does not shut it for the others", async (_what, keys) => {
  const { breaker } = fresh();
  for (let i = 0; i < 20; i += 1) (await breaker.enter("x"))?.done("unconfirmed", keys(i));
  expect(breaker.shut()).toBeUndefined();
});

test("a confirmation between the missing ones keeps it open", async () => {
  const { breaker, enterNow } = fresh();
  for (const id of ["1", "2"]) (await enterNow(id)).end("unconfirmed");
  (await enterNow("3")).end("answered");
  for (const id of ["4", "5"]) (await enterNow(id)).end("unconfirmed");
  expect(breaker.shut()).toBeUndefined();
});

test("missing confirmations of units whose neighbours are answered meanwhile do not shut it", async () => {
  const { breaker, enterNow } = fresh();
  const bad = await Promise.all(["1", "2", "3", "4"].map(enterNow));
  (await enterNow("good")).end("answered");
  for (const one of bad) one.end("unconfirmed");
  expect(breaker.shut()).toBeUndefined();
});

describe("once shut", () => {
  test("it lets a few through, and opens for all when one is confirmed", async () => {
    const { breaker, entered, knock, failThrice } = fresh();
    await failThrice();
    knock("a", "b", "c", "d", "e", "f", "g");
    await until("the first probes enter", () => entered.length > 0);
    expect(idsOf(entered)).toEqual(["a", "b", "c"]);
    expect(entered[0]?.pass.probe).toBe(true);
    for (const one of entered) one.end("unconfirmed");
    await until("the next probes enter", () => entered.length > 3);
    expect(idsOf(entered)).toEqual(["a", "b", "c", "d", "e", "f"]);
    entered[3]?.end("answered");
    await until("all have entered", () => entered.length === 7);
    expect(breaker.shut()).toBeUndefined();
  });

  test("those that got no answer before hold up none of which nothing bad is known", async () => {
    const { entered, knock, failThrice } = fresh();
    await failThrice();
    knock("1", "2", "3", "good");
    await until("the first probes enter", () => entered.length > 0);
    expect(idsOf(entered)).toEqual(["good", "1"]);
    knock("also good");
    await until("it need not wait for the bad one", () => entered.length > 2);
    expect(idsOf(entered).at(-1)).toBe("also good");
  });

  test("one whose connection broke gives its place to the next, after a while", async () => {
    const { entered, knock, failThrice } = fresh();
    await failThrice("poison");
    knock("1", "2");
    await until("the first probe enters", () => entered.length === 1);
    entered[0]?.end("disconnected");
    expect(entered).toHaveLength(1);
    await until("the second probe enters", () => entered.length === 2);
  });

  test("it is not told as shut for good when nobody comes to try", async () => {
    const { breaker, failThrice } = fresh();
    await failThrice();
    expect(breaker.shut()).toMatch(/confirms none/);
    await until("a command that came now would be sent", () => breaker.shut() === undefined);
  });

  test("a new connection opens it", async () => {
    const { breaker, state, entered, knock, failThrice } = fresh();
    await failThrice();
    knock("1", "2", "3", "4");
    state.connection += 1;
    expect(breaker.shut()).toBeUndefined();
    breaker.changed();
    await until("all have entered", () => entered.length === 4);
  });
});

describe("commands that are given up as what breaks the connection", () => {
  test("of three units in a row shut it, and a new connection does not open it: each of them made one", async () => {
    const { breaker, state, failThrice } = fresh();
    await failThrice("poison");
    state.connection += 1;
    expect(breaker.shut()).toMatch(/breaks the connection/);
  });

  test.each(["answered", "received"] as const)("it opens when one is %s", async (heard) => {
    const { breaker, entered, knock, failThrice } = fresh();
    await failThrice("poison");
    knock("a", "b", "c", "d", "e");
    await until("the first probes enter", () => entered.length === 3);
    entered[0]?.end(heard);
    await until("all have entered", () => entered.length === 5);
    expect(breaker.shut()).toBeUndefined();
  });

  test("many suspects in a row shut it before any of them is given up", async () => {
    const { breaker, enterNow } = fresh();
    for (let i = 0; i < 9; i += 1) (await enterNow(`${i}`)).end("suspect");
    expect(breaker.shut()).toBeUndefined();
    (await enterNow("9")).end("suspect");
    expect(breaker.shut()).toMatch(/breaks the connection/);
  });

  test("suspects with an answer in between do not", async () => {
    const { breaker, enterNow } = fresh();
    for (let i = 0; i < 20; i += 1) {
      (await enterNow(`${i}`)).end("suspect");
      if (i % 5 === 0) (await enterNow("good")).end("answered");
    }
    expect(breaker.shut()).toBeUndefined();
  });

  test("once they are forgotten, what was only received is no answer again", async () => {
    const { breaker, entered, enterNow, knock, failThrice } = fresh();
    await failThrice("poison");
    knock("a");
    await until("the probe enters", () => entered.length === 1);
    entered[0]?.end("answered");
    const silent = await Promise.all(["1", "2", "3"].map(enterNow));
    (await enterNow("4")).end("received");
    for (const one of silent) one.end("unconfirmed");
    expect(breaker.shut()).toMatch(/confirms none/);
  });

  test("with something that was received in between they do not shut it", async () => {
    const { breaker, enterNow } = fresh();
    for (const id of ["1", "2"]) (await enterNow(id)).end("poison");
    (await enterNow("3")).end("received");
    for (const id of ["4", "5"]) (await enterNow(id)).end("poison");
    expect(breaker.shut()).toBeUndefined();
  });
});

test("a stop lets nobody in any more", async () => {
  const { breaker, state, stopping } = fresh();
  state.waitsFor = "the CAD";
  const waiting = breaker.enter("1");
  stopping.abort();
  expect(await waiting).toBeUndefined();
  expect(await breaker.enter("2")).toBeUndefined();
});
