import { createSealer } from "../../shared/sealing/seal.ts";
import { expect, test } from "vitest";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import { atMost } from "../../shared/outbox/bounds.ts";
import { openOutbox } from "../../shared/outbox/outbox.ts";
import { NotOwner, openOwnedOutbox } from "../../shared/outbox/owned.ts";
import { claimDelivery } from "../../worker/delivery/claim.ts";
import type { Opened, Payloads } from "../../worker/delivery/payloads.ts";
import { keptLog } from "../support/log.ts";
import { freshBackend } from "../support/redis.ts";

const TOKEN = "1:tester";

/** An outbox of a worker that owns the CAD; how payloads are opened is up to the test. */
async function fresh(open: Payloads["open"] = async (_id, stored) => ({ text: stored })) {
  const { redis, keys } = freshBackend();
  await redis.mset(keys.lease, TOKEN, keys.owner, TOKEN);
  const { append, read } = openOutbox(redis, keys, createSealer([]), atMost(1000));
  const outbox = openOwnedOutbox(redis, keys, createSealer([]), TOKEN, 1000);
  const forgotten: string[] = [];
  const owner = { still: true };
  const { log, lines } = keptLog();
  const payloads: Payloads = { open, forget: (id) => void forgotten.push(id), problem: () => undefined };
  const more = {
    user: "u",
    role: "crew",
    latestWins: false,
    ttlSeconds: undefined,
    idempotencyKey: undefined,
  } as const;
  const add = async (id: string, on: OrderingKey = "unit:1") =>
    await append({ id, kind: "units/status", keys: [on], body: `"${id}"`, fingerprints: [id], ...more });
  const begin = async (id: string) =>
    await claimDelivery("command", id, { outbox, payloads, mayEmit: () => owner.still, log });
  return { redis, keys, outbox, add, begin, read, owner, forgotten, lines };
}

test("a message that is first in its line may be sent, with its payload", async () => {
  const { add, begin } = await fresh();
  await add("a");
  expect(await begin("a")).toMatchObject({ may: "send", message: { sends: 1, keys: ["unit:1"] }, text: '"a"' });
});

test("one that is not first is not sent; one that is final lets those behind it go on", async () => {
  const { add, begin, outbox, forgotten } = await fresh();
  await add("a");
  await add("b");
  expect(await begin("b")).toEqual({ may: "not", follows: { runnable: [] } });
  await outbox.settle({ id: "a", state: "confirmed", reason: "", by: "ack" });
  expect(await begin("a")).toEqual({ may: "not", follows: { runnable: ["b"] } });
  expect(forgotten).toEqual(["b", "a"]);
});

test("one that rests is asked about when its time has come", async () => {
  const { add, begin, outbox } = await fresh();
  await add("a");
  await begin("a");
  await outbox.scheduleRetry("a", [60_000], 0);
  const { follows } = (await begin("a")) as { follows: { retryInMs: number } };
  expect(follows.retryInMs).toBeGreaterThan(50_000);
});

test("one whose record is gone gives way, and the log says so", async () => {
  const { add, begin, redis, keys, lines } = await fresh();
  await add("a");
  await add("b");
  await redis.del(keys.record("a"));
  expect(await begin("a")).toEqual({ may: "not", follows: { runnable: ["b"] } });
  expect(lines).toMatchObject([{ level: "error", fields: { command_id: "a" } }]);
});

test("one whose payload waits for a key waits in its place as if it had not been begun; one that is spoilt is never sent", async () => {
  const opened: { next: Opened } = { next: { wait: "a key is missing" } };
  const { add, begin, read } = await fresh(async () => opened.next);
  await add("a");
  expect(await begin("a")).toEqual({ may: "not", follows: { retryInMs: 5000 } });
  expect(await read("a")).toMatchObject({ state: "queued", sends: 0 });
  opened.next = { spoilt: "it was changed" };
  expect(await begin("a")).toMatchObject({ may: "never", reason: "it was changed" });
});

test("without the lease, or while it may have lapsed, nothing is sent", async () => {
  const { add, begin, owner, redis, keys } = await fresh();
  await add("a");
  owner.still = false;
  await expect(begin("a")).rejects.toThrow(NotOwner);
  owner.still = true;
  await redis.set(keys.lease, "2:another");
  await expect(begin("a")).rejects.toThrow(NotOwner);
});

test("a worker that was frozen since it asked asks again", async () => {
  const asked = { slow: true };
  const { add, begin } = await fresh(async (_id, stored) => {
    const from = performance.now();
    while (asked.slow && performance.now() - from <= 1000);
    return { text: stored };
  });
  await add("a");
  expect(await begin("a")).toEqual({ may: "not", follows: "again" });
  asked.slow = false;
  expect(await begin("a")).toMatchObject({ may: "send", message: { sends: 2 } });
});
