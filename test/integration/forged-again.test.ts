import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { destinationKeys, outboxKeys } from "../../shared/redis/keys.ts";
import { until } from "../../tools/support/until.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";
import { accepts, ALL, tell, withDestinations } from "../support/destinations.ts";
import { testRedis } from "../support/redis.ts";

const PAYLOAD_KEYS = `a:${randomBytes(32).toString("base64")}`;
const KEYED = { PAYLOAD_KEYS };

const post = async (bridge: Bridge, unit: string) => {
  const { status, body } = await bridge.post("/units/status", { unit_id: unit, status: "enroute" });
  expect(status).toBe(202);
  return String(body["command_id"]);
};
const noted = (bridge: Bridge, action: string, id: string) =>
  until(`${action} ${id} is in the audit trail`, async () => {
    const { entries } = (await bridge.get("/audit?outcome=forged")).body as {
      entries: { action: string; command_id: string }[];
    };
    return entries.some((entry) => entry.action === action && entry.command_id === id);
  });

/** Puts the records of two keys in each other's place. */
async function swap(a: string, b: string): Promise<void> {
  const redis = testRedis();
  const [of, other] = [await redis.dumpBuffer(a), await redis.dumpBuffer(b)];
  if (!of || !other) throw new Error("no record");
  await redis.restore(a, 0, other, "REPLACE");
  await redis.restore(b, 0, of, "REPLACE");
}
const forgedLetters = async (bridge: Bridge, query = "") =>
  (
    (await bridge.get(`/dead-letters?reason=forged&limit=100${query}`)).body["dead_letters"] as { command_id: string }[]
  ).map((letter) => letter.command_id);

test("two commands that were swapped whole while they waited are dead letters that say so, and neither is sent", async () => {
  const bridge = await startBridge({ functions: KEYED, worker: false });
  const keys = outboxKeys(bridge.prefix);
  const [first, second, third] = [await post(bridge, "M1"), await post(bridge, "M2"), await post(bridge, "M1")];
  // This one is not first in its queue yet.
  const fourth = await post(bridge, "M2");
  const fifth = await post(bridge, "M3");
  await swap(keys.record(first), keys.record(second));
  await swap(keys.record(fourth), keys.record(fifth));
  await bridge.startWorker(KEYED);
  for (const id of [first, second, fourth, fifth]) {
    const letters = await until(`${id} is a dead letter`, async () => {
      const found = await forgedLetters(bridge);
      return found.includes(id) && found;
    });
    expect(letters).not.toContain(third);
    await noted(bridge, "FORGED command", id);
  }
  expect(await bridge.settled(third)).toMatchObject({ status: expect.stringMatching(/confirmed|received/) });
  expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 1 });
  await until("the health says so", async () =>
    JSON.stringify((await bridge.get("/health")).body).includes("forged-record"),
  );
});

test("two webhooks that were swapped whole, and a command passed off as one, are dead letters that say so", async () => {
  const { bridge, receivers, env } = await withDestinations(["a"], ALL, {}, { functions: KEYED, worker: KEYED });
  const keys = destinationKeys(bridge.prefix, "a");
  await bridge.post("/destinations/a/pause", "");
  await until("it is paused", async () => {
    const { body } = await bridge.get("/destinations/a");
    return body["state"] === "disabled";
  });
  for (const unit of ["M1", "M2", "M3"]) tell(bridge, unit, 1);
  const waiting = await until("all wait", async () => {
    const ids = await testRedis().zrange(keys.open, "0", "-1");
    return ids.length === 3 && ids;
  });
  const command = await bridge.deliver("/units/status", { unit_id: "M4", status: "enroute" });
  await bridge.worker()?.stop();
  const [first = "", second = "", third = ""] = waiting;
  await swap(keys.record(first), keys.record(second));
  const settled = await testRedis().dumpBuffer(outboxKeys(bridge.prefix).record(command.command_id));
  if (!settled) throw new Error("no record");
  await testRedis().restore(keys.record(third), 0, settled, "REPLACE");
  await testRedis().hset(keys.record(third), "state", "queued");
  await bridge.post("/destinations/a/enable", "");
  await bridge.startWorker(env);
  for (const id of [first, second, third])
    await until(`${id} is a dead letter`, async () => (await forgedLetters(bridge, "&destination=a")).includes(id));
  await noted(bridge, "FORGED webhook", `a/${first}`);
  const subjects = receivers.a.received.map(({ subject }) => subject);
  expect(subjects.filter((one) => one !== "unit:M4")).toEqual([]);
});

test("a command that was put back whole to before it was sent is not sent again: it gets the outcome that it had", async () => {
  const bridge = await startBridge({ functions: KEYED, worker: false, cad: { character: "modern" } });
  const redis = testRedis();
  const keys = outboxKeys(bridge.prefix);
  const id = await post(bridge, "M1");
  const record = await redis.dumpBuffer(keys.record(id));
  if (!record) throw new Error("no record");
  await bridge.startWorker(KEYED);
  const receipt = await bridge.settled(id);
  expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 1, duplicates: 0 });

  await redis.restore(keys.record(id), 0, record, "REPLACE");
  await redis.rpush(`${keys.base}:line:unit:M1`, id);
  await redis.zadd(keys.open, 1, id);
  await redis.zadd(keys.runnable, 1, id);
  const again = await until("it is settled again", async () => {
    const { body } = await bridge.get(`/commands/${id}`);
    return body["final"] === true && body;
  });
  expect(again).toMatchObject({ status: receipt.status, reason: receipt.reason });
  expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 1, duplicates: 0 });
  await noted(bridge, "FORGED command", id);
  await until("the health says so", async () =>
    JSON.stringify((await bridge.get("/health")).body).includes("forged-record"),
  );
});

test("a request for a replay that was put back is not followed again", async () => {
  const { bridge, receivers } = await withDestinations(["a"], ALL, {}, { functions: KEYED, worker: KEYED });
  const redis = testRedis();
  const state = `${destinationKeys(bridge.prefix, "a").base}:state`;
  tell(bridge, "M1", 1);
  await accepts(receivers.a, 1);
  const replay = async () => {
    const { status, body } = await bridge.post("/destinations/a/replay", { from: "2020-01-01T00:00:00Z" });
    expect([status, body]).toEqual([202, expect.anything()]);
    await until("the replay is over", async () => {
      const { body: shown } = await bridge.get("/destinations/a");
      const last = shown["replay"] as { state: string; replay_id: string } | null;
      return last?.state === "done" && last.replay_id === body["replay_id"];
    });
  };
  await replay();
  const asked = (await redis.hget(state, "replay_ask")) ?? "";
  expect(asked).not.toBe("");
  await replay();
  await accepts(receivers.a, 3);

  await redis.hset(state, "replay_ask", asked);
  await noted(bridge, "FORGED destination", "a");
  tell(bridge, "M1", 2);
  await accepts(receivers.a, 4);
  expect(receivers.a.received).toHaveLength(4);
});
