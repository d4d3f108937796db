import { describe, expect, test } from "vitest";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import { atMost } from "../../shared/outbox/bounds.ts";
import type { ExchangeAsk } from "../../shared/outbox/exchange.ts";
import { openOutbox } from "../../shared/outbox/outbox.ts";
import { openOwnedOutbox, type OwnedOutbox, type Settlement } from "../../shared/outbox/owned.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { until } from "../../tools/support/until.ts";
import { createDispatcher, type Delivered } from "../../worker/delivery/dispatcher.ts";
import { createExchange } from "../../worker/delivery/exchange.ts";
import { keptLog } from "../support/log.ts";
import { freshBackend } from "../support/redis.ts";

const FIRST = "1:first";
const SECOND = "2:second";

async function fresh() {
  const { redis, keys } = freshBackend();
  const outbox = openOutbox(redis, keys, createSealer([]), atMost(1000));
  const own = async (token: string) => void (await redis.mset(keys.lease, token, keys.owner, token));
  await own(FIRST);
  const open = (token: string) => openOwnedOutbox(redis, keys, createSealer([]), token, 30 * 24 * 3_600_000);
  const append = async (id: string, ...on: OrderingKey[]) => {
    const more = {
      user: "u",
      role: "crew",
      latestWins: false,
      ttlSeconds: undefined,
      idempotencyKey: undefined,
    } as const;
    const body = { kind: "units/status", body: `"${id}"`, fingerprints: [id] };
    const appended = await outbox.append({ id, keys: on, ...body, ...more });
    if (appended.outcome !== "accepted") throw new Error(appended.outcome);
    return appended;
  };
  const stateOf = async (id: string) => (await outbox.read(id))?.state;
  return { redis, keys, outbox, own, open, append, stateOf };
}

const NOTHING: ExchangeAsk = { settle: [], offered: [], take: 10, begins: true, maySleep: false };
const confirmed = (id: string): Settlement => ({ id, state: "confirmed", reason: "", by: "echo" });
const idsOf = (taken: readonly { id: string }[]) => taken.map(({ id }) => id);

describe("who wakes the worker", () => {
  test("a command is due for an emit job while nobody is awake, and not while its worker is", async () => {
    const { append, open } = await fresh();
    const owned = open(FIRST);
    expect(await append("a", "unit:1")).toMatchObject({ runnable: true, due: true });
    expect(await append("b", "unit:1")).toMatchObject({ runnable: false, due: false });
    expect(await owned.exchange(NOTHING)).toMatchObject({ owner: true, awake: true, left: 0 });
    expect(await append("c", "unit:2")).toMatchObject({ runnable: true, due: false });
  });

  test("a worker without its lease does not count as awake", async () => {
    const { append, open, own, redis, keys } = await fresh();
    await open(FIRST).exchange(NOTHING);
    await redis.del(keys.lease);
    expect(await append("a", "unit:1")).toMatchObject({ due: true });
    await own(SECOND);
    expect(await append("b", "unit:2")).toMatchObject({ due: true });
  });

  test("it falls asleep only if nothing is ready: what was appended right before is taken instead", async () => {
    const { append, open } = await fresh();
    const owned = open(FIRST);
    await owned.exchange(NOTHING);
    await append("a", "unit:1");
    const { awake, taken } = await owned.exchange({ ...NOTHING, maySleep: true });
    expect({ awake, ids: idsOf(taken) }).toEqual({ awake: true, ids: ["a"] });
    expect(await owned.exchange({ ...NOTHING, maySleep: true })).toMatchObject({ awake: false, taken: [] });
    expect(await append("b", "unit:2")).toMatchObject({ due: true });
  });

  test("where nothing may be taken, it does not fall asleep beside what is ready", async () => {
    const { append, open } = await fresh();
    await append("a", "unit:1");
    const asked = await open(FIRST).exchange({ ...NOTHING, take: 0, maySleep: true });
    expect(asked).toMatchObject({ awake: true, left: 1, taken: [] });
  });

  test("a job that functions of an older version added brings its command", async () => {
    const { append, open, redis, keys } = await fresh();
    await append("a", "unit:1");
    await redis.del(keys.ready);
    const { taken } = await open(FIRST).exchange({ ...NOTHING, offered: ["a", "no command"] });
    expect(idsOf(taken)).toEqual(["a"]);
  });
});

describe("what an exchange brings", () => {
  test("the commands that are ready, begun, and no more than may be taken", async () => {
    const { append, open, stateOf } = await fresh();
    for (const n of [1, 2, 3]) await append(`m${n}`, `unit:${n}`);
    const { taken, left } = await open(FIRST).exchange({ ...NOTHING, take: 2 });
    expect(taken).toMatchObject([
      { id: "m1", begun: { answer: "send", body: '"m1"', sends: 1 } },
      { id: "m2", begun: { answer: "send" } },
    ]);
    expect({ left, states: [await stateOf("m2"), await stateOf("m3")] }).toEqual({
      left: 1,
      states: ["sent", "queued"],
    });
  });

  test("what a settlement makes runnable comes with the next exchange, so that no lost write sends it ahead", async () => {
    const { append, open, stateOf } = await fresh();
    const owned = open(FIRST);
    await append("a", "unit:1");
    await append("b", "unit:1");
    await owned.exchange(NOTHING);
    const settled = await owned.exchange({ ...NOTHING, settle: [owned.toStored(confirmed("a"))], maySleep: true });
    expect(settled).toMatchObject({ settled: ["settled"], taken: [], left: 1, awake: true });
    expect([await stateOf("a"), await stateOf("b")]).toEqual(["confirmed", "queued"]);
    expect(idsOf((await owned.exchange(NOTHING)).taken)).toEqual(["b"]);
  });

  test("what may be on its way already comes by its id alone, and is not begun again", async () => {
    const { append, open, outbox } = await fresh();
    const owned = open(FIRST);
    await append("a", "unit:1");
    await owned.begin("a");
    await owned.makeReady(["a"]);
    expect((await owned.exchange(NOTHING)).taken).toEqual([{ id: "a" }]);
    expect(await outbox.read("a")).toMatchObject({ sends: 1 });
  });

  test("ids alone, where the circuit breaker has to judge each", async () => {
    const { append, open, stateOf } = await fresh();
    await append("a", "unit:1");
    expect((await open(FIRST).exchange({ ...NOTHING, begins: false })).taken).toEqual([{ id: "a" }]);
    expect(await stateOf("a")).toBe("queued");
  });

  test("nothing for one that does not hold the lease; the last owner may still settle, any other may not", async () => {
    const { append, open, redis, keys, stateOf } = await fresh();
    const owned = open(FIRST);
    await append("a", "unit:1");
    await append("b", "unit:2");
    await owned.exchange({ ...NOTHING, take: 1 });
    await redis.del(keys.lease);
    const late = await owned.exchange({ ...NOTHING, settle: [owned.toStored(confirmed("a"))] });
    expect(late).toMatchObject({ owner: false, settled: ["settled"], taken: [] });
    await redis.set(keys.owner, SECOND);
    const later = await owned.exchange({ ...NOTHING, settle: [owned.toStored(confirmed("b"))] });
    expect(later).toMatchObject({ owner: false, settled: ["not-owner"] });
    expect([await stateOf("a"), await stateOf("b")]).toEqual(["confirmed", "queued"]);
  });

  test("words of a CAD that no text may hold do not keep others from being settled", async () => {
    const { append, open, stateOf } = await fresh();
    const owned = open(FIRST);
    await append("a", "unit:1");
    await owned.exchange(NOTHING);
    const refused = owned.toStored({ id: "a", state: "rejected", reason: "half \ud800 a pair", by: "" });
    expect((await owned.exchange({ ...NOTHING, settle: [refused] })).settled).toEqual(["settled"]);
    expect(await stateOf("a")).toBe("rejected");
  });
});

/** A worker from which everything is real but the CAD, which confirms at once. `exchange` may be made to die with it. */
function startWorker(
  owned: OwnedOutbox,
  emits: string[],
  exchangeOf: (ask: ExchangeAsk) => ReturnType<OwnedOutbox["exchange"]>,
) {
  const stopping = new AbortController();
  const { signal } = stopping;
  const { log } = keptLog();
  const exchange = createExchange({
    outbox: { ...owned, exchange: exchangeOf },
    signal,
    log,
  });
  const ensure = async (ids: readonly string[]) => {
    const added = await owned.makeReady(ids);
    await exchange.wake();
    return added;
  };
  const dispatcher = createDispatcher({
    outbox: owned,
    queue: { add: async (ids) => void (await ensure(ids)), ensure },
    queuesAll: true,
    async deliver(id, taken): Promise<Delivered> {
      const begun = taken?.begun ?? (await owned.begin(id));
      if (begun.answer !== "send" || signal.aborted) return { runnable: [] };
      emits.push(id);
      await new Promise(setImmediate);
      return { runnable: await exchange.settle(confirmed(id), begun) };
    },
    isOpen: () => true,
    signal,
    log,
  });
  exchange.start({
    room: () => ({ take: dispatcher.room(), begins: true }),
    inHand: dispatcher.inHand,
    onTaken: ({ id, begun }, asked) => dispatcher.take(id, begun && { begun, asked }),
  });
  void dispatcher.run();
  return { stop: () => stopping.abort(), wake: exchange.wake };
}

/** Whether the first time that each was emitted follows the order of its unit; `a`s are of one unit, `b`s of another, `x` of both. */
const inOrder = (emits: readonly string[]): boolean => {
  const first = [...new Set(emits)];
  const of = (unit: string) => first.filter((id) => id.startsWith(unit) || id === "x").join();
  return of("a") === "a1,a2,x,a3" && of("b") === "b1,x,b2";
};
const COMMANDS: readonly [string, ...OrderingKey[]][] = [
  ["a1", "unit:a"],
  ["b1", "unit:b"],
  ["a2", "unit:a"],
  ["x", "unit:a", "unit:b"],
  ["b2", "unit:b"],
  ["a3", "unit:a"],
];

describe("a worker that dies", () => {
  const points = [1, 2, 3, 4, 5, 6].flatMap((nth) => (["before", "after"] as const).map((when) => ({ nth, when })));
  test.each(points)(
    "$when Redis runs its exchange number $nth loses nothing, and nothing is overtaken",
    async ({ nth, when }) => {
      const { append, open, own, stateOf } = await fresh();
      const emits: string[] = [];
      const dying = open(FIRST);
      const dead = Promise.withResolvers<void>();
      let exchanges = 0;
      const worker = startWorker(dying, emits, async (ask) => {
        exchanges += 1;
        if (exchanges < nth) return await dying.exchange(ask);
        if (when === "after" && exchanges === nth) await dying.exchange(ask);
        worker.stop();
        dead.resolve();
        return await new Promise(() => undefined);
      });
      for (const [id, ...on] of COMMANDS) if ((await append(id, ...on)).due) void worker.wake(id);
      // It sleeps after the last, and that is an exchange too.
      await dead.promise;

      await own(SECOND);
      const next = open(SECOND);
      const second = startWorker(next, emits, next.exchange);
      await until("all are confirmed", async () => {
        const states = await Promise.all(COMMANDS.map(([id]) => stateOf(id)));
        return states.every((state) => state === "confirmed");
      });
      second.stop();
      expect(inOrder(emits), emits.join()).toBe(true);
    },
  );
});

test("a wake-up that is lost costs the time until the sweep, and nothing else", async () => {
  const { append, open, stateOf } = await fresh();
  const owned = open(FIRST);
  const emits: string[] = [];
  const worker = startWorker(owned, emits, owned.exchange);
  expect(await append("a", "unit:1")).toMatchObject({ due: true });
  await until("the sweep found it", async () => (await stateOf("a")) === "confirmed", 10_000);
  worker.stop();
});

test("a reply that is lost costs the time until the sweep, and the command is sent", async () => {
  const { append, open, stateOf } = await fresh();
  const owned = open(FIRST);
  const emits: string[] = [];
  let lost = false;
  const worker = startWorker(owned, emits, async (ask) => {
    const answer = await owned.exchange(ask);
    if (lost || answer.taken.length === 0) return answer;
    lost = true;
    throw new Error("Socket timeout");
  });
  await append("a", "unit:1");
  await worker.wake("a").catch(() => undefined);
  await until("the sweep found it", async () => (await stateOf("a")) === "confirmed", 10_000);
  worker.stop();
  expect({ lost, emits }).toEqual({ lost: true, emits: ["a"] });
});
