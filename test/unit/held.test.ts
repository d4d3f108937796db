import { describe, expect, test } from "vitest";
import { atMost, type Bounds } from "../../shared/outbox/bounds.ts";
import type { ToSend } from "../../shared/outbox/claim.ts";
import { openDeadLetters } from "../../shared/outbox/dead-letters.ts";
import { KEPT_MS, type NewMessage, openOutbox } from "../../shared/outbox/outbox.ts";
import { openOwnedOutbox } from "../../shared/outbox/owned.ts";
import { openQueues } from "../../shared/outbox/queues.ts";
import type { FinalState } from "../../shared/outbox/states.ts";
import { createSealer, type PayloadKey } from "../../shared/sealing/seal.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import { freshBackend } from "../support/redis.ts";

const TOKEN = "1:tester";
const DEAD_MS = 30 * 24 * 3_600_000;
const HOLDS = "incidents/status";
const KEY: PayloadKey = { id: "k", secret: Buffer.alloc(32, 7) };

interface Setup {
  bounds?: Partial<Bounds>;
  backlog?: number;
  keyed?: boolean;
  hold?: string[];
}

async function fresh({ bounds = {}, backlog = 1000, keyed = false, hold = [HOLDS] }: Setup = {}) {
  const { redis, keys } = freshBackend();
  await redis.mset(keys.lease, TOKEN, keys.owner, TOKEN);
  const sealer = createSealer(keyed ? [KEY] : []);
  const outbox = openOutbox(redis, keys, sealer, { ...atMost(backlog), ...bounds });
  const owned = openOwnedOutbox(redis, keys, sealer, TOKEN, DEAD_MS, KEPT_MS, new Set(hold));
  const letters = openDeadLetters(redis, keys, sealer, "command");
  const queues = openQueues(redis, keys, sealer);

  const append = async (id: string, on: OrderingKey[], more: Partial<NewMessage> = {}) =>
    outbox.append({
      ...{ id, kind: HOLDS, keys: on, user: "u", role: "dispatcher", fingerprints: [id], latestWins: false },
      ...{ body: await sealer.seal("command", id, `{"n":"${id}"}`), ttlSeconds: undefined, idempotencyKey: undefined },
      ...more,
    });
  async function begin(id: string): Promise<ToSend> {
    const begun = await owned.begin(id);
    if (begun.answer !== "send") throw new Error(`${id}: ${begun.answer}`);
    return begun;
  }
  /** Sends it and settles it; answers what became runnable. */
  const end = async (id: string, state: FinalState) =>
    owned.settle({ id, state, reason: "", by: state === "confirmed" ? "echo" : "" }, await begin(id));
  async function redrive(id: string, as: string) {
    const message = await letters.again(id, as);
    if (!message) throw new Error(`${id} is no dead letter`);
    const appended = await outbox.append(message);
    if ("id" in appended) await letters.noteRedriven(id, appended.id);
    return appended;
  }
  const line = (key: OrderingKey) => redis.lrange(`${keys.base}:line:${key}`, 0, -1);
  return { redis, keys, sealer, outbox, owned, letters, queues, append, begin, end, redrive, line };
}
async function collect(pages: AsyncIterable<string[]>): Promise<string[]> {
  const all: string[] = [];
  for await (const page of pages) all.push(...page);
  return all;
}
type Fixture = Awaited<ReturnType<typeof fresh>>;

/** a (unit 1, incident 1) is rejected and held; b (unit 1), c (incident 1) and d (both) wait behind it; e is another unit's. */
async function withHeld(setup?: Setup): Promise<Fixture> {
  const fixture = await fresh(setup);
  const { append, end } = fixture;
  await append("a", ["unit:1", "incident:1"], { ttlSeconds: 3600 });
  await append("b", ["unit:1"]);
  await append("c", ["incident:1"]);
  await append("d", ["unit:1", "incident:1"]);
  await append("e", ["unit:2"]);
  expect(await end("a", "rejected")).toEqual([]);
  return fixture;
}

describe("a dead letter that holds its place", () => {
  test("lets nothing of its unit and incident pass, is counted as settled, and delays no other", async () => {
    const { owned, end, outbox, line } = await withHeld();
    for (const id of ["b", "c", "d"]) expect(await owned.begin(id)).toEqual({ answer: "waiting" });
    expect(await end("e", "confirmed")).toEqual([]);
    const backlog = await outbox.backlog();
    expect(backlog).toMatchObject({ unsettled: 3, dead: 1, unaccounted: 0, oldestRunnable: undefined });
    expect(backlog.held).toMatchObject({ count: 1, behind: 3, since: expect.any(Number) });
    expect(backlog.counts).toEqual({ rejected: 1, confirmed: 1 });
    expect(await line("unit:1")).toEqual(["a", "b", "d"]);
    expect(await outbox.read("a")).toMatchObject({ state: "rejected", held: true });
    // A repeated settlement, a stalled job, the sweep.
    expect(await owned.begin("a")).toEqual({ answer: "settled", runnable: [] });
    expect(await owned.settle({ id: "a", state: "confirmed", reason: "", by: "" })).toEqual([]);
    expect(await owned.expire()).toEqual([]);
    expect(await collect(owned.allRunnable())).toEqual([]);
  });

  test("is sent again in its place, with its time of acceptance and a new time to live, before what waited", async () => {
    const { redrive, begin, end, outbox, letters, line, redis, keys } = await withHeld();
    const before = await outbox.read("a");
    expect(await redis.pttl(keys.record("a"))).toBe(-1);
    expect(await redrive("a", "a2")).toMatchObject({ outcome: "accepted", id: "a2", runnable: true, due: true });
    expect(await line("unit:1")).toEqual(["a2", "b", "d"]);
    expect(await line("incident:1")).toEqual(["a2", "c", "d"]);
    expect(await outbox.read("a")).toMatchObject({ state: "rejected", held: false, redrivenAs: "a2" });
    expect(await redis.pttl(keys.record("a"))).toBeGreaterThan(DEAD_MS - 60_000);
    const again = await outbox.read("a2");
    expect(again?.acceptedAt).toBe(before?.acceptedAt);
    const leftMs = ((again?.expiresAt ?? 0) - Date.now() * 1000) / 1000;
    expect(Math.abs(leftMs - 3_600_000)).toBeLessThan(60_000);
    expect((await begin("a2")).redriven).toBe(true);
    expect(await end("a2", "confirmed")).toEqual(["b", "c"]);
    expect(await outbox.backlog()).toMatchObject({
      held: { count: 0, behind: 0 },
      dead: 0,
      unaccounted: 0,
      accepted: 6,
    });
    expect(await letters.again("a", "a3")).toBeUndefined();
  });

  test("holds again if it is rejected again, and asked twice it is sent again once", async () => {
    const { redrive, end, outbox, line } = await withHeld();
    await redrive("a", "a2");
    expect(await outbox.append({ ...(await again("a")), id: "a3" })).toMatchObject({ outcome: "replayed", id: "a2" });
    expect(await end("a2", "failed")).toEqual([]);
    expect(await outbox.backlog()).toMatchObject({ held: { count: 1, behind: 3 }, unaccounted: 0 });
    await redrive("a2", "a4");
    expect(await line("unit:1")).toEqual(["a4", "b", "d"]);

    async function again(id: string): Promise<NewMessage> {
      const record = await outbox.read(id);
      if (!record) throw new Error(`${id} is gone`);
      const { kind, keys, user, role, latestWins, fingerprint } = record;
      const same = { kind, keys, user, role, latestWins, fingerprints: [fingerprint], ttlSeconds: undefined, body: "" };
      return { id, ...same, idempotencyKey: `\u0000redrive:${id}`, redriveOf: id };
    }
  });

  test("that is discarded lets what waited go on in its order", async () => {
    const { letters, owned, end, outbox, redis, keys } = await withHeld();
    expect(await letters.discard("a")).toEqual(["b", "c"]);
    expect(await letters.discard("a")).toBeUndefined();
    expect((await collect(owned.allRunnable())).toSorted()).toEqual(["b", "c", "e"]);
    expect(await end("b", "confirmed")).toEqual([]);
    expect(await end("c", "confirmed")).toEqual(["d"]);
    expect(await outbox.read("a")).toMatchObject({ state: "rejected", held: false });
    expect(await redis.pttl(keys.record("a"))).toBeGreaterThan(0);
    expect(await outbox.backlog()).toMatchObject({ held: { count: 0 }, unaccounted: 0, dead: 0 });
  });

  test("wakes a worker that sleeps only", async () => {
    const { letters, redis, keys } = await withHeld();
    await redis.set(keys.awake, TOKEN);
    expect(await letters.discard("a")).toEqual([]);
    expect(await redis.zrange(keys.ready, "0", "-1")).toEqual(expect.arrayContaining(["b", "c"]));
  });

  test("stays held when HOLD changes, until it is handled", async () => {
    const { redis, keys, sealer, outbox, redrive, begin } = await withHeld();
    const later = openOwnedOutbox(redis, keys, sealer, TOKEN, DEAD_MS);
    expect(await later.begin("b")).toEqual({ answer: "waiting" });
    expect(await later.expire()).toEqual([]);
    await redrive("a", "a2");
    expect(await later.settle({ id: "a2", state: "failed", reason: "", by: "" }, await begin("a2"))).toEqual([
      "b",
      "c",
    ]);
    expect(await outbox.backlog()).toMatchObject({ held: { count: 0 }, unaccounted: 0 });
  });

  test.each([
    ["an expired one, which nobody needs later", HOLDS, "expired"],
    ["an unconfirmed one, which the CAD has", HOLDS, "unconfirmed"],
    ["a kind that is not in HOLD", "units/status", "rejected"],
  ] as const)("is not: %s", async (_what, kind, state) => {
    const { append, end, outbox } = await fresh();
    await append("a", ["unit:1"], { kind });
    await append("b", ["unit:1"]);
    expect(await end("a", state)).toEqual(["b"]);
    expect(await outbox.read("a")).toMatchObject({ state, held: false });
    expect(await outbox.backlog()).toMatchObject({ held: { count: 0 } });
  });

  test("lets positions behind it take one another's place as usual", async () => {
    const { append, redrive, begin, end, outbox, line } = await withHeld();
    const position = { kind: "units/location", latestWins: true } as const;
    for (const id of ["p1", "p2", "p3"]) await append(id, ["unit:1"], position);
    expect(await line("unit:1")).toEqual(["a", "b", "d", "p3"]);
    await redrive("a", "a2");
    for (const id of ["a2", "b", "c", "d"]) await end(id, "confirmed");
    expect((await begin("p3")).kind).toBe("units/location");
    expect(await outbox.backlog()).toMatchObject({ unaccounted: 0, counts: { superseded: 2 } });
  });

  test("that nobody handles keeps its queue within the bound, and the refusal says why", async () => {
    const { append, redrive, outbox } = await withHeld({ bounds: { key: 3 }, backlog: 5 });
    expect(await append("f", ["unit:1"])).toEqual({ outcome: "over", bound: "held" });
    expect(await append("g", ["unit:3"])).toMatchObject({ outcome: "accepted" });
    expect(await append("h", ["unit:3"])).toEqual({ outcome: "full" });
    // What waits behind it does not keep it from being sent again.
    expect(await redrive("a", "a2")).toMatchObject({ outcome: "accepted" });
    expect(await outbox.backlog()).toMatchObject({ unaccounted: 0, unsettled: 6 });
  });

  test("whose record is deleted lets what waited go on", async () => {
    const { owned, redis, keys } = await withHeld();
    await redis.del(keys.record("a"));
    await owned.expire();
    expect(await owned.begin("a")).toEqual({ answer: "gone" });
    expect((await owned.dropOrphans("a")).toSorted()).toEqual(["b", "c"]);
    expect(await redis.zcard(keys.held)).toBe(0);
  });

  test("is authenticated: that it held its place cannot be made up, and what takes its place can be checked", async () => {
    const { redrive, begin, outbox, append, end, redis, keys } = await withHeld({ keyed: true });
    expect(await outbox.read("a")).toMatchObject({ state: "rejected", held: true });
    await redrive("a", "a2");
    expect((await begin("a2")).doubt).toBeUndefined();
    await append("x", ["unit:9"], { kind: "units/status" });
    await end("x", "rejected");
    await redis.hset(keys.record("x"), "held", "1");
    await expect(outbox.read("x")).rejects.toThrow(/changed/);
  });

  test("shows in the queues with what waits behind it", async () => {
    const { queues, outbox } = await withHeld();
    const { queues: all } = await queues.list();
    expect(all.map(({ key, waiting, held }) => [key, waiting, held])).toEqual(
      expect.arrayContaining([
        ["unit:1", 2, "a"],
        ["incident:1", 2, "a"],
        ["unit:2", 1, undefined],
      ]),
    );
    const queue = await queues.read("unit:1", 10);
    expect(queue).toMatchObject({ waiting: 2, behind: [] });
    expect(queue.commands.map(({ id, held }) => [id, held])).toEqual([
      ["a", true],
      ["b", false],
      ["d", false],
    ]);
    const holdOf = async (id: string) => {
      const record = await outbox.read(id);
      return record && queues.hold(record);
    };
    expect(await holdOf("a")).toEqual({ heldBackBy: undefined, waitingBehind: 3 });
    expect(await holdOf("d")).toEqual({ heldBackBy: "a", waitingBehind: undefined });
    expect(await holdOf("e")).toEqual({ heldBackBy: undefined, waitingBehind: undefined });
  });
});
