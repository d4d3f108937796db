import { createSealer } from "../../shared/sealing/seal.ts";
import { describe, expect, test } from "vitest";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import { atMost, type Bounds } from "../../shared/outbox/bounds.ts";
import { type NewMessage, openOutbox } from "../../shared/outbox/outbox.ts";
import { NotOwner, openOwnedOutbox, type OwnedOutbox } from "../../shared/outbox/owned.ts";
import { FINAL_STATES, isRedrivable } from "../../shared/outbox/states.ts";
import { freshBackend } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

const TOKEN = "1:tester";

async function fresh(maxBacklog = 1000, bounds: Partial<Bounds> = {}) {
  const { redis, keys } = freshBackend();
  await redis.mset(keys.lease, TOKEN, keys.owner, TOKEN);
  const outbox = openOutbox(redis, keys, createSealer([]), { ...atMost(maxBacklog), ...bounds });
  const owned = openOwnedOutbox(redis, keys, createSealer([]), TOKEN, 30 * 24 * 3_600_000);
  const append = (id: string, on: OrderingKey[], more: Partial<NewMessage> = {}) =>
    outbox.append({
      id,
      kind: "units/status",
      keys: on,
      body: `{"n":"${id}"}`,
      user: "u",
      role: "crew",
      fingerprints: [id],
      latestWins: false,
      ttlSeconds: undefined,
      idempotencyKey: undefined,
      ...more,
    });
  const stateOf = async (id: string) => (await outbox.read(id))?.state;
  return { redis, keys, outbox, owned, append, stateOf };
}

const confirm = (owned: OwnedOutbox, id: string) => owned.settle({ id, state: "confirmed", reason: "", by: "echo" });
const location = { kind: "units/location", latestWins: true } as const;

describe("order in the outbox", () => {
  test("only the first of an ordering key is runnable, and settling it makes the next one so", async () => {
    const { append, owned } = await fresh();
    expect(await append("a", ["unit:1"])).toMatchObject({ outcome: "accepted", runnable: true });
    expect(await append("b", ["unit:1"])).toMatchObject({ runnable: false });
    expect(await append("c", ["unit:2"])).toMatchObject({ runnable: true });
    expect(await owned.begin("b")).toEqual({ answer: "waiting" });
    expect(await owned.begin("a")).toMatchObject({ answer: "send", sends: 1, body: '{"n":"a"}' });
    expect(await confirm(owned, "a")).toEqual(["b"]);
  });

  test("one whose keys Redis cannot read leaves nothing behind", async () => {
    const { append, redis, keys } = await fresh();
    await expect(append("a", ["unit:\ud800"])).rejects.toThrow(/escape/);
    expect((await redis.keys(`${keys.base}:*`)).toSorted()).toEqual([keys.lease, keys.owner].toSorted());
  });

  test("a command with two keys waits for both, and lets both go on", async () => {
    const { append, owned } = await fresh();
    await append("a", ["unit:1"]);
    await append("b", ["incident:1"]);
    await append("c", ["unit:1", "incident:1"]);
    await append("d", ["unit:1"]);
    await append("e", ["incident:1"]);
    expect(await confirm(owned, "a")).toEqual([]);
    expect(await owned.begin("c")).toEqual({ answer: "waiting" });
    expect(await confirm(owned, "b")).toEqual(["c"]);
    expect(await confirm(owned, "c")).toEqual(["d", "e"]);
  });

  test("ids may hold any character without meeting another's line", async () => {
    const { append } = await fresh();
    const odd: OrderingKey[] = ["unit:a,b", 'unit:a","b', "unit:é:{x}\n", "unit:a", "unit:b"];
    for (const [i, key] of odd.entries()) expect(await append(`m${i}`, [key])).toMatchObject({ runnable: true });
  });

  test("acceptance times are strictly increasing, so that the CAD can tell an overtaken message", async () => {
    const { append } = await fresh();
    const all = await Promise.all(Array.from({ length: 200 }, (_, i) => append(`m${i}`, [`unit:${i % 7}`])));
    const times = all.map((a) => ("acceptedAt" in a ? a.acceptedAt : 0));
    expect(new Set(times).size).toBe(200);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  test("settling again changes nothing and names the next ones again, so that a lost reply costs nothing", async () => {
    const { append, owned, outbox, stateOf } = await fresh();
    await append("a", ["unit:1"]);
    await append("b", ["unit:1"]);
    expect(await confirm(owned, "a")).toEqual(["b"]);
    expect(await owned.settle({ id: "a", state: "failed", reason: "late", by: "" })).toEqual(["b"]);
    expect(await stateOf("a")).toBe("confirmed");
    expect((await outbox.backlog()).counts).toEqual({ confirmed: 1 });
    expect(await owned.begin("a")).toEqual({ answer: "settled", runnable: ["b"] });
  });

  test("nothing is left in the outbox once all is settled", async () => {
    const { append, owned, redis, keys, outbox } = await fresh();
    await append("a", ["unit:1", "incident:1"], { ttlSeconds: 60 });
    await append("b", ["unit:1"]);
    await confirm(owned, "a");
    await confirm(owned, "b");
    expect(await outbox.backlog()).toMatchObject({ unsettled: 0, oldestRunnable: undefined, dead: 0 });
    const left = await redis.keys(`${keys.base}:line:*`);
    expect([...left, ...(await redis.keys(`${keys.base}:expiring`))]).toEqual([]);
    expect(await redis.pttl(keys.record("a"))).toBeGreaterThan(24 * 3_600_000);
  });
});

test("a payload is kept for as long as it may have to be sent: a dead letter's or an unconfirmed one's, and no other's", async () => {
  const { append, owned, redis, keys } = await fresh();
  const kept = (id: string) => redis.hget(keys.record(id), "body");
  for (const [i, state] of FINAL_STATES.entries()) {
    const id = `m${i}`;
    await append(id, [`unit:${i}`]);
    expect(await kept(id)).toBe(`{"n":"${id}"}`);
    await owned.settle({ id, state, reason: "", by: "" });
    expect(await kept(id), state).toBe(isRedrivable(state) ? `{"n":"${id}"}` : "");
  }
});

describe("latest wins", () => {
  test("a newer value takes the place of one that waits, never of one that may be on its way", async () => {
    const { append, owned, outbox, stateOf } = await fresh();
    await append("a", ["unit:1"], location);
    await owned.begin("a");
    await append("b", ["unit:1"], location);
    await append("c", ["unit:1"], location);
    expect([await stateOf("a"), await stateOf("b"), await stateOf("c")]).toEqual(["sent", "superseded", "queued"]);
    expect(await outbox.read("b")).toMatchObject({ by: "c" });
    expect(await confirm(owned, "a")).toEqual(["c"]);
  });

  test("a value that another command follows keeps its place", async () => {
    const { append, owned, stateOf } = await fresh();
    await append("status", ["unit:1"]);
    await append("a", ["unit:1"], location);
    await append("b", ["unit:1"]);
    await append("c", ["unit:1"], location);
    expect(await stateOf("a")).toBe("queued");
    expect(await confirm(owned, "status")).toEqual(["a"]);
    expect(await confirm(owned, "a")).toEqual(["b"]);
    expect(await confirm(owned, "b")).toEqual(["c"]);
  });

  test("one that was never sent steps aside for a newer one right behind it", async () => {
    const { append, owned, stateOf } = await fresh();
    await append("a", ["unit:1"], location);
    await append("b", ["unit:1"], location);
    expect(await owned.begin("a")).toEqual({ answer: "settled", runnable: ["b"] });
    expect(await stateOf("a")).toBe("superseded");
    expect(await owned.begin("b")).toMatchObject({ answer: "send" });
  });

  test("the last value is never lost, however many come", async () => {
    const { append, owned, stateOf } = await fresh();
    for (let i = 0; i < 50; i += 1) await append(`m${i}`, ["unit:1"], location);
    let next = ["m0"];
    const sent: string[] = [];
    while (next[0]) {
      const begun = await owned.begin(next[0]);
      if (begun.answer === "send") sent.push(next[0]);
      next = begun.answer === "settled" ? begun.runnable : await confirm(owned, next[0]);
    }
    expect(sent).toEqual(["m49"]);
    expect(await stateOf("m48")).toBe("superseded");
  });
});

describe("idempotency keys", () => {
  const keyed = { idempotencyKey: "k1" };

  test("the same key and request again is the same command", async () => {
    const { append, outbox } = await fresh();
    await append("a", ["unit:1"], { ...keyed, fingerprints: ["f"] });
    expect(await append("b", ["unit:1"], { ...keyed, fingerprints: ["f"] })).toMatchObject({
      outcome: "replayed",
      id: "a",
    });
    expect(await outbox.read("b")).toBeUndefined();
    expect((await outbox.backlog()).unsettled).toBe(1);
  });

  test("the same key with another request is refused", async () => {
    const { append } = await fresh();
    await append("a", ["unit:1"], { ...keyed, fingerprints: ["f"] });
    expect(await append("b", ["unit:1"], { ...keyed, fingerprints: ["g"] })).toEqual({ outcome: "conflict", id: "a" });
  });

  test("two users may use the same key", async () => {
    const { append } = await fresh();
    await append("a", ["unit:1"], keyed);
    expect(await append("b", ["unit:1"], { ...keyed, user: "other" })).toMatchObject({ outcome: "accepted" });
  });

  test("a command's own id is a key for it, for whoever was told nothing else", async () => {
    const { append } = await fresh();
    await append("a", ["unit:1"], { fingerprints: ["f"] });
    const again = { idempotencyKey: "a", fingerprints: ["f"] };
    expect(await append("b", ["unit:1"], again)).toMatchObject({ outcome: "replayed", id: "a" });
  });

  test("a repeat by the command's id that overtakes the command itself is the same command", async () => {
    const { append, outbox } = await fresh();
    const repeat = { idempotencyKey: "a", fingerprints: ["f"] };
    expect(await append("b", ["unit:1"], repeat)).toMatchObject({ outcome: "accepted" });
    expect(await append("a", ["unit:1"], { fingerprints: ["f"] })).toMatchObject({ outcome: "replayed", id: "b" });
    expect((await outbox.backlog()).unsettled).toBe(1);
  });

  test("of many concurrent repeats exactly one is accepted", async () => {
    const { append } = await fresh();
    const many = await Promise.all(
      Array.from({ length: 20 }, (_, i) => append(`m${i}`, ["unit:1"], { ...keyed, fingerprints: ["f"] })),
    );
    expect(many.filter((a) => a.outcome === "accepted")).toHaveLength(1);
    expect(many.filter((a) => a.outcome === "replayed")).toHaveLength(19);
  });
});

describe("time to live", () => {
  const brief = { ttlSeconds: 0.02 };

  test("an expired command at the head is settled instead of sent", async () => {
    const { append, owned, stateOf } = await fresh();
    await append("a", ["unit:1"], brief);
    await append("b", ["unit:1"]);
    const begun = await until("a expires", async () => {
      const answer = await owned.begin("a");
      return answer.answer === "settled" && answer;
    });
    expect(begun.runnable).toEqual(["b"]);
    expect(await stateOf("a")).toBe("expired");
  });

  test("an expired command is settled in its place in the queue", async () => {
    const { append, owned, outbox, stateOf } = await fresh();
    await append("a", ["unit:1"]);
    await append("b", ["unit:1"], brief);
    await append("c", ["unit:1"]);
    await until("b expires", async () => {
      await owned.expire();
      return (await stateOf("b")) === "expired";
    });
    expect(await confirm(owned, "a")).toEqual(["c"]);
    expect((await outbox.backlog()).dead).toBe(1);
  });

  test("a command that was sent before is not settled as never sent", async () => {
    const { append, owned, outbox, redis, keys, stateOf } = await fresh();
    // Long enough for the claim to come first on a busy machine.
    await append("a", ["unit:1"], { ttlSeconds: 0.5 });
    await owned.begin("a");
    await until("its time has passed", async () => {
      await owned.expire();
      return (await redis.zcard(`${keys.base}:expiring`)) === 0;
    });
    expect(await stateOf("a")).toBe("sent");
    // It would have to be sent again, and is not: the reason says that the receiver may have it.
    expect(await owned.begin("a")).toEqual({ answer: "settled", runnable: [] });
    expect(await outbox.read("a")).toMatchObject({ state: "expired", reason: expect.stringContaining("may have it") });
  });
});

describe("a claim that is released", () => {
  test("leaves the message in its place, as one that was never sent", async () => {
    const { append, owned, outbox, redis, keys } = await fresh();
    await append("a", ["unit:1"]);
    await append("b", ["unit:1"]);
    await owned.begin("a");
    await owned.putBack("a");
    await owned.putBack("a");
    expect(await outbox.read("a")).toMatchObject({ state: "queued", sends: 0, sentAt: undefined });
    expect(await owned.begin("b")).toEqual({ answer: "waiting" });
    await redis.hset(keys.record("a"), "expires_at", "1");
    expect(await owned.begin("a")).toEqual({ answer: "settled", runnable: ["b"] });
    expect(await outbox.read("a")).toMatchObject({ reason: expect.stringContaining("before it could be sent") });
  });

  test("still counts what was sent before", async () => {
    const { append, owned, outbox } = await fresh();
    await append("a", ["unit:1"]);
    await owned.begin("a");
    await owned.begin("a");
    await owned.putBack("a");
    expect(await outbox.read("a")).toMatchObject({ state: "sent", sends: 1 });
  });

  test("changes nothing once another owns the CAD, or it is settled", async () => {
    const { append, owned, outbox, redis, keys } = await fresh();
    await append("a", ["unit:1"]);
    await owned.begin("a");
    await redis.set(keys.lease, "2:other");
    await owned.putBack("a");
    expect(await outbox.read("a")).toMatchObject({ state: "sent", sends: 1 });
    await redis.set(keys.lease, TOKEN);
    await confirm(owned, "a");
    await owned.putBack("a");
    expect(await outbox.read("a")).toMatchObject({ state: "confirmed", sends: 1 });
  });
});

async function runnable(owned: OwnedOutbox, idleMs: number): Promise<string[]> {
  const ids: string[] = [];
  for await (const page of owned.runnable(idleMs)) ids.push(...page);
  return ids;
}

describe("when Redis's clock is set back", () => {
  const HOUR_US = 3_600_000_000;
  /** As if these times had been written by a clock that was an hour ahead. */
  const setBack = async ({ redis, keys }: Awaited<ReturnType<typeof fresh>>, id: string) => {
    await redis.zincrby(keys.runnable, HOUR_US, id);
    await redis.hincrby(keys.record(id), "retry_at", HOUR_US);
  };

  test("what was runnable before is found all the same", async () => {
    const given = await fresh();
    await given.append("a", ["unit:1"]);
    await setBack(given, "a");
    expect(await runnable(given.owned, 2000)).toEqual(["a"]);
    expect(await runnable(given.owned, 0)).toEqual(["a"]);
    await given.append("b", ["unit:2"]);
    expect(await runnable(given.owned, 2000)).toEqual(["a"]);
  });

  test("what rests is not put off for as long as it was set back", async () => {
    const given = await fresh();
    const { append, owned } = given;
    await append("a", ["unit:1"]);
    await owned.begin("a");
    expect(await owned.scheduleRetry("a", [60_000, 60_000], 0)).toMatchObject({ answer: "again", inMs: 60_000 });
    expect(await owned.begin("a")).toMatchObject({ answer: "resting" });
    await setBack(given, "a");
    expect(await owned.begin("a")).toMatchObject({ answer: "send" });
    expect(await owned.scheduleRetry("a", [60_000, 60_000], 0)).toMatchObject({ inMs: 60_000, attempts: 2 });
    await owned.retryNow();
    expect(await owned.begin("a")).toMatchObject({ answer: "send" });
    await setBack(given, "a");
    expect(await owned.scheduleRetry("a", [60_000, 60_000, 70_000], 0)).toMatchObject({ inMs: 70_000, attempts: 3 });
  });
});

describe("the fencing token", () => {
  test("nobody but the owner may begin", async () => {
    const { append, owned, redis, keys, stateOf } = await fresh();
    await append("a", ["unit:1"]);
    await redis.set(keys.lease, "2:other");
    expect(await owned.begin("a")).toEqual({ answer: "not-owner" });
    expect(await stateOf("a")).toBe("queued");
  });

  test("a worker that was followed by another may not settle", async () => {
    const { append, owned, redis, keys, stateOf } = await fresh();
    await append("a", ["unit:1"]);
    await redis.set(keys.owner, "2:other");
    await expect(confirm(owned, "a")).rejects.toBeInstanceOf(NotOwner);
    expect(await stateOf("a")).toBe("queued");
  });

  test("a worker whose lease lapsed while nobody took it may still settle, but not begin", async () => {
    const { append, owned, redis, keys, stateOf } = await fresh();
    await append("a", ["unit:1"]);
    await owned.begin("a");
    await redis.del(keys.lease);
    expect(await owned.begin("a")).toEqual({ answer: "not-owner" });
    await confirm(owned, "a");
    expect(await stateOf("a")).toBe("confirmed");
  });
});

describe("an entry whose record is gone", () => {
  test("gives way in all its lines, and what stood behind it is runnable", async () => {
    const { append, owned, redis, keys, outbox } = await fresh();
    await append("a", ["unit:1", "incident:1"], { ttlSeconds: 60 });
    for (const [id, key] of [
      ["b", "unit:1"],
      ["c", "incident:1"],
    ] as const)
      await append(id, [key]);
    await redis.del(keys.record("a"));
    expect(await owned.begin("a")).toEqual({ answer: "gone" });
    expect((await owned.dropOrphans("a")).toSorted()).toEqual(["b", "c"]);
    expect(await confirm(owned, "b")).toEqual([]);
    expect(await confirm(owned, "c")).toEqual([]);
    expect(await outbox.backlog()).toMatchObject({ unsettled: 0, oldestRunnable: undefined });
    expect(await redis.zcard(`${keys.base}:expiring`)).toBe(0);
    expect(await redis.keys(`${keys.base}:line:*`)).toEqual([]);
  });

  test("is found where it was first in one line only, once it is first in another", async () => {
    const { append, owned, redis, keys } = await fresh();
    await append("z", ["incident:1"]);
    await append("x", ["unit:1", "incident:1"]);
    await append("y", ["unit:1"]);
    await redis.del(keys.record("x"));
    expect(await confirm(owned, "z")).toEqual(["x"]);
    expect(await owned.begin("x")).toEqual({ answer: "gone" });
    expect(await owned.dropOrphans("x")).toEqual(["y"]);
  });
});

test("a full backlog refuses further commands with that reason", async () => {
  const { append } = await fresh(2);
  await append("a", ["unit:1"]);
  await append("b", ["unit:1"]);
  expect(await append("c", ["unit:2"])).toEqual({ outcome: "full" });
});

const over = (bound: "subject" | "key") => ({ outcome: "over", bound });
const unit = (n: number): OrderingKey[] => [`unit:${n}`];
const of = (user: string) => ({ user });

describe("limits of the backlog", () => {
  const accepted = { outcome: "accepted" };

  test("of one subject is bounded in number, and another subject's is not", async () => {
    const { append, owned } = await fresh(1000, { subject: 2 });
    for (const id of ["a", "b"]) expect(await append(id, [`unit:${id}`])).toMatchObject(accepted);
    expect(await append("c", ["unit:c"])).toEqual(over("subject"));
    expect(await append("d", ["unit:d"], { user: "another" })).toMatchObject(accepted);
    await confirm(owned, "a");
    expect(await append("c", ["unit:c"])).toMatchObject(accepted);
  });

  test("of one subject, and of all, is bounded in bytes", async () => {
    const bytes = `{"n":"a"}["unit:1"]`.length;
    const { append } = await fresh(1000, { subjectBytes: 2 * bytes, bytes: 3 * bytes });
    for (const id of ["a", "b"]) expect(await append(id, ["unit:1"])).toMatchObject(accepted);
    expect(await append("c", ["unit:1"])).toEqual(over("subject"));
    expect(await append("d", ["unit:1"], { user: "another" })).toMatchObject(accepted);
    expect(await append("e", ["unit:1"], { user: "third" })).toEqual({ outcome: "full" });
  });

  test("of one ordering key is bounded, also of a command with several", async () => {
    const { append } = await fresh(1000, { key: 2 });
    await append("a", ["incident:1"]);
    await append("b", ["incident:1"], { user: "another" });
    expect(await append("c", ["unit:1", "incident:1"])).toEqual(over("key"));
    expect(await append("c", ["unit:1"])).toMatchObject(accepted);
  });

  test("is refused to crews before it is to dispatchers and admins", async () => {
    const { append } = await fresh(10, { key: 5, reservePercent: 20 });
    for (let i = 0; i < 4; i += 1) await append(`k${i}`, ["incident:1"]);
    expect(await append("crew", ["incident:1"])).toEqual(over("key"));
    expect(await append("dispatcher", ["incident:1"], { role: "dispatcher" })).toMatchObject(accepted);
    for (let i = 0; i < 3; i += 1) expect(await append(`u${i}`, ["unit:1"])).toMatchObject(accepted);
    expect(await append("crew", ["unit:2"])).toEqual({ outcome: "full" });
    for (let i = 0; i < 2; i += 1) expect(await append(`a${i}`, ["unit:2"], { role: "admin" })).toMatchObject(accepted);
    expect(await append("admin", ["unit:2"], { role: "admin" })).toEqual({ outcome: "full" });
  });

  test("does not grow by a newer value that takes another's place", async () => {
    const { append, stateOf } = await fresh(1000, { key: 2, subject: 2 });
    for (const id of ["a", "b", "c"]) expect(await append(id, ["unit:1"], location)).toMatchObject(accepted);
    expect(await stateOf("b")).toBe("superseded");
  });

  test("is counted down to nothing, however each message ends", async () => {
    const { append, owned, redis, keys, outbox } = await fresh(1000, { subject: 1 });
    await append("confirmed", unit(1), of("a"));
    await append("rejected", unit(2), of("b"));
    await append("unsent", unit(3), { ...of("c"), ttlSeconds: 0.001 });
    await append("sent", unit(4), { ...of("d"), ttlSeconds: 0.001 });
    await append("first", unit(5), { ...location, ...of("e") });
    await append("superseded", unit(5), { ...location, ...of("f") });
    await append("newest", unit(5), { ...location, ...of("g") });
    await append("lost", unit(6), of("h"));
    await append("again", unit(7), { ...of("a"), redriveOf: "dead", idempotencyKey: "redrive" });
    expect(await append("again", unit(7), { ...of("a"), redriveOf: "dead", idempotencyKey: "redrive" })).toMatchObject({
      outcome: "replayed",
    });
    expect(await redis.hget(keys.waiting, "all:bytes")).not.toBeNull();
    expect((await redis.hkeys(keys.waiting)).filter((name) => name.endsWith(":n"))).toHaveLength(7);

    await confirm(owned, "confirmed");
    await confirm(owned, "confirmed");
    await owned.settle({ id: "rejected", state: "rejected", reason: "no", by: "" });
    await until("both have expired", async () => {
      await owned.begin("sent");
      await owned.expire();
      return (await redis.zcard(`${keys.base}:expiring`)) === 0;
    });
    // A worker that began one, and died.
    await owned.begin("again");
    const next = openOwnedOutbox(redis, keys, createSealer([]), TOKEN, 1000);
    await confirm(next, "again");
    for (const id of ["first", "newest"]) await confirm(owned, id);
    await redis.del(keys.record("lost"));
    await owned.dropOrphans("lost");

    expect(await outbox.backlog()).toMatchObject({ unsettled: 0, unsettledBytes: 0 });
    expect(await redis.exists(keys.waiting, `${keys.base}:charges`)).toBe(0);
  });
});

describe("a message whose delivery is retried", () => {
  const WAITS = [60_000, 120_000];

  test("rests in its place for as long as its attempts say, whoever asks, and is given up after the last", async () => {
    const { append, owned, redis, keys } = await fresh();
    await append("a", ["unit:1"]);
    await append("b", ["unit:1"]);
    await owned.begin("a");
    expect(await owned.scheduleRetry("a", WAITS, 0)).toEqual({ answer: "again", inMs: 60_000, attempts: 1 });
    const [begun, behind] = await Promise.all([owned.begin("a"), owned.begin("b")]);
    expect(begun).toMatchObject({ answer: "resting" });
    expect((begun as { inMs: number }).inMs).toBeGreaterThan(59_000);
    expect(behind).toEqual({ answer: "waiting" });
    await redis.hset(keys.record("a"), "retry_at", 1);
    expect(await owned.begin("a")).toMatchObject({ answer: "send", sends: 2 });
    expect(await owned.scheduleRetry("a", WAITS, 0)).toMatchObject({ inMs: 120_000, attempts: 2 });
    expect(await owned.scheduleRetry("a", WAITS, 0)).toEqual({ answer: "used-up", attempts: 3 });
  });

  test("may be spared so many times, which are no attempts", async () => {
    const { append, owned } = await fresh();
    await append("a", ["unit:1"]);
    for (const count of [1, 2]) {
      expect(await owned.begin("a")).toMatchObject({ answer: "send", sends: count });
      expect(await owned.scheduleRetry("a", WAITS, 2)).toEqual({ answer: "again", inMs: 0, attempts: 0 });
    }
    expect(await owned.scheduleRetry("a", WAITS, 2)).toEqual({ answer: "again", inMs: 60_000, attempts: 1 });
  });

  test("may be tried once before its time, which is no attempt, and its schedule stands", async () => {
    const { append, owned } = await fresh();
    await append("a", ["unit:1"]);
    await append("other", ["unit:2"]);
    await owned.begin("a");
    await owned.scheduleRetry("a", WAITS, 0);
    await owned.retryNow();
    expect(await owned.begin("a")).toMatchObject({ answer: "send" });
    const again = await owned.scheduleRetry("a", WAITS, 0);
    expect(again).toMatchObject({ answer: "again", attempts: 1 });
    expect((again as { inMs: number }).inMs).toBeLessThanOrEqual(60_000);
    expect(await owned.begin("a")).toMatchObject({ answer: "resting" });
    expect(await owned.begin("other")).toMatchObject({ answer: "send" });
  });

  test("is not touched by a worker that does not own the CAD", async () => {
    const { append, owned, redis, keys } = await fresh();
    await append("a", ["unit:1"]);
    await owned.begin("a");
    await redis.mset(keys.owner, "2:other", keys.lease, "2:other");
    await expect(owned.scheduleRetry("a", WAITS, 0)).rejects.toThrow(NotOwner);
    await owned.retryNow();
    expect(await redis.hget(keys.record("a"), "retry_at")).toBeNull();
  });
});

test("of messages that may be there once, the first is accepted, even when its record is gone; a repeat of it is it", async () => {
  const { append, owned, redis, keys } = await fresh();
  expect(await append("a", ["unit:1"], { once: ["x"] })).toMatchObject({ outcome: "accepted" });
  expect(await append("a", ["unit:1"], { once: ["x"] })).toMatchObject({ outcome: "replayed", id: "a" });
  expect(await append("b", ["unit:1"], { once: ["x"] })).toEqual({ outcome: "once", id: "a" });
  expect(await append("c", ["unit:1"], { once: ["y"] })).toMatchObject({ outcome: "accepted" });
  await confirm(owned, "a");
  await redis.del(keys.record("a"));
  expect(await append("d", ["unit:1"], { once: ["x"] })).toEqual({ outcome: "once", id: "a" });
  expect(await redis.pttl(`${keys.base}:once:x`)).toBeGreaterThan(399 * 24 * 3_600_000);
});

test("one that may be there once and found no room may come again", async () => {
  const { append, owned } = await fresh(1);
  await append("a", ["unit:1"]);
  expect(await append("b", ["unit:1"], { once: ["x"] })).toEqual({ outcome: "full" });
  await confirm(owned, "a");
  expect(await append("b", ["unit:1"], { once: ["x"] })).toMatchObject({ outcome: "accepted" });
});

describe("the counts of the outbox", () => {
  test("accepted commands are settled or waiting, and deleted ones are missing from the count", async () => {
    const { append, owned, outbox, redis, keys } = await fresh();
    for (const id of ["a", "b", "c", "d"]) await append(id, [`unit:${id}`]);
    await append("a", ["unit:a"]);
    await append("e", ["unit:d"], location);
    await append("f", ["unit:d"], location);
    await confirm(owned, "a");
    await owned.settle({ id: "b", state: "failed", reason: "", by: "" });
    expect(await outbox.backlog()).toMatchObject({
      accepted: 6,
      unsettled: 3,
      counts: { confirmed: 1, failed: 1, superseded: 1 },
      unaccounted: 0,
    });
    await redis.del(keys.record("c"));
    await owned.dropOrphans("c");
    expect(await outbox.backlog()).toMatchObject({ accepted: 6, unsettled: 2, unaccounted: 1 });
  });

  test("a store from before acceptances were counted begins with what it holds", async () => {
    const { append, owned, outbox, redis, keys } = await fresh();
    for (const id of ["a", "b"]) await append(id, [`unit:${id}`]);
    await confirm(owned, "a");
    await redis.hdel(keys.counts, "accepted");
    expect(await outbox.backlog()).toMatchObject({ accepted: 2, unaccounted: 0 });
    await append("c", ["unit:c"]);
    expect(await outbox.backlog()).toMatchObject({ accepted: 3, unaccounted: 0 });
  });

  test("outcomes are counted by state, kind and what proved them, without any id", async () => {
    const { append, owned, redis, keys } = await fresh();
    for (const id of ["a", "b"]) await append(id, ["unit:1"], location);
    await append("c", ["unit:2"]);
    await append("d", ["unit:2"]);
    await append("e", ["unit:2"]);
    await owned.begin("a");
    for (const id of ["c", "d"]) await confirm(owned, id);
    expect(await redis.hgetall(`${keys.base}:outcomes`)).toEqual({
      "superseded units/location ": "1",
      "confirmed units/status echo": "2",
    });
  });
});
