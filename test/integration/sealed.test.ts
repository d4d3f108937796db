import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { commands } from "../../shared/commands/table.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import type { Receipt } from "../../shared/commands/receipt.ts";
import { UNIT_STATUSES } from "../../shared/vocabulary/words.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";
import { BODIES, found, TELLTALES } from "../support/patient.ts";
import { dumpRedis } from "../support/redis-dump.ts";
import { testRedis } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

const key = (id: string) => `${id}:${randomBytes(32).toString("base64")}`;
const [A, B] = [key("a"), key("b")];
const status = (unit: string, to = "enroute") => ["/units/status", { unit_id: unit, status: to }] as const;

const accepted = async (posted: ReturnType<Bridge["post"]>): Promise<string> => {
  const { status: code, body } = await posted;
  expect(code).toBe(202);
  return String(body["command_id"]);
};
const problems = async (bridge: Bridge) => JSON.stringify((await bridge.get("/health")).body["problems"]);
const receiptOf = async (bridge: Bridge, id: string) =>
  (await bridge.get(`/commands/${id}`)).body as unknown as Receipt;

test("nothing in Redis tells what a command carries: while it waits, as a dead letter, sent again, or delivered", async () => {
  expect(found(JSON.stringify(BODIES))).toEqual(TELLTALES);
  const bridge = await startBridge({ worker: false, functions: { PAYLOAD_KEYS: A }, cad: { character: "modern" } });
  const redis = testRedis();
  const dump = () => dumpRedis(redis, bridge.prefix);

  const ids: string[] = [];
  for (const { path, body } of BODIES) ids.push(await accepted(bridge.post(path, body)));
  const waiting = await dump();
  expect(found(waiting)).toEqual([]);
  const toSend = (await Promise.all(ids.map((id) => receiptOf(bridge, id)))).filter((r) => r.status === "queued");
  expect(waiting.match(/"sealed:v1:a:/g)).toHaveLength(toSend.length);
  for (const id of ids) expect(waiting).toContain(id);

  bridge.cad.switches.reject = 1;
  await bridge.startWorker({ PAYLOAD_KEYS: A });
  const receipts = await Promise.all(ids.map((id) => bridge.settled(id)));
  expect(found(JSON.stringify(receipts))).toEqual([]);
  expect(found(await dump())).toEqual([]);

  bridge.cad.switches.reject = 0;
  bridge.cad.ledger.clear();
  const { body: again } = await bridge.post("/dead-letters/redrive", {});
  expect(again).toMatchObject({ unreadable: [] });
  const redriven = again["redriven"] as { redriven_as: string }[];
  expect(redriven.length).toBeGreaterThan(commands.length / 2);
  for (const { redriven_as: id } of redriven)
    expect((await bridge.settled(id)).status).toMatch(/^(confirmed|received|superseded)$/);
  for (const { path, body } of BODIES) await bridge.deliver(path, body);
  expect(found(await dump())).toEqual([]);
  expect(found(JSON.stringify(bridge.cad.ledger.entries()))).toEqual(TELLTALES);
  expect(found(JSON.stringify(bridge.logs))).toEqual([]);
});

test("a receipt that was changed in Redis is told as forged, on either host", async () => {
  const bridge = await startBridge({ worker: false, functions: { PAYLOAD_KEYS: A } });
  const id = await accepted(bridge.post(...status("M1")));
  await testRedis().hset(outboxKeys(bridge.prefix).record(id), "state", "confirmed");
  expect(await bridge.get(`/commands/${id}`)).toMatchObject({ body: { code: "forged-record" } });
});

test("a job in the queue is an id and nothing else, sealed or not", async () => {
  const bridge = await startBridge({ worker: false });
  const id = await accepted(bridge.post(...status("M1")));
  const redis = testRedis();
  const { prefix, name } = outboxKeys(bridge.prefix).queue;
  const job = await redis.hgetall(`${prefix}:${name}:${id}`);
  expect(job).toMatchObject({ name: "emit", data: "{}" });
  const queue = (await dumpRedis(redis, bridge.prefix))
    .split("\n")
    .filter((line) => line.startsWith(`${prefix}:${name}:`));
  expect(queue.length).toBeGreaterThan(1);
  expect(queue.join("\n")).not.toMatch(/M1|enroute/);
});

test("keys rotate while commands flow: what the worker cannot open yet waits in its place, and nothing is lost", async () => {
  const before = await startBridge({ functions: { PAYLOAD_KEYS: A }, worker: { PAYLOAD_KEYS: A } });
  const repeated = { "Idempotency-Key": "the same" };
  const first = await accepted(before.post(...status("M0"), repeated));
  // The functions are restarted with the new key in front, and with the old ones still there for a while.
  const functions = { PAYLOAD_KEYS: `${B},${A}`, REDIS_PREFIX: before.prefix };
  const after = await startBridge({ functions, worker: false });
  expect(await accepted(after.post(...status("M0"), repeated))).toBe(first);

  const ids: string[] = [];
  for (const to of UNIT_STATUSES.slice(0, 4)) {
    for (const unit of ["M1", "M2"])
      ids.push(await accepted((ids.length % 4 < 2 ? before : after).post(...status(unit, to))));
  }
  const others = await before.deliver(...status("M3"));
  expect(others).toMatchObject({ status: "confirmed" });
  await until("the health names the key", async () => (await problems(before)).includes('\\"b\\"'));
  expect((await before.get("/health")).body["status"]).toBe("degraded");
  expect(await receiptOf(before, ids[0] ?? "")).toMatchObject({ status: "confirmed", sends: 1 });
  await until("the one behind it is as if it had not been begun", async () => {
    const { status: state, sends } = await receiptOf(after, ids[2] ?? "");
    return state === "queued" && sends === 0;
  });

  await before.worker()?.stop();
  await before.startWorker({ PAYLOAD_KEYS: `${B},${A}` });
  for (const id of ids) expect(await after.settled(id)).toMatchObject({ status: "confirmed", sends: 1 });
  await after.healthy();
  const { commands: delivered, duplicates, violations } = before.cad.ledger.summary();
  expect({ delivered, duplicates, violations }).toEqual({ delivered: ids.length + 2, duplicates: 0, violations: 0 });
});

test("a payload that was changed, or is another's, is a dead letter with the reason, and cannot be sent again", async () => {
  const bridge = await startBridge({ functions: { PAYLOAD_KEYS: A }, worker: false });
  const redis = testRedis();
  const keys = outboxKeys(bridge.prefix);
  const [one, two, good] = [
    await accepted(bridge.post(...status("M1"))),
    await accepted(bridge.post(...status("M2"))),
    await accepted(bridge.post(...status("M2", "available"))),
  ];
  await redis.hset(keys.record(one), "body", (await redis.hget(keys.record(two), "body")) ?? "");
  await redis.hset(keys.record(two), "body", "sealed:v1:a:AAAA");
  await bridge.startWorker({ PAYLOAD_KEYS: A });
  for (const id of [one, two])
    expect(await bridge.settled(id)).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("was changed"),
    });
  expect(await bridge.settled(good)).toMatchObject({ status: "confirmed" });
  expect(bridge.cad.ledger.summary().commands).toBe(1);

  expect(await bridge.post(`/dead-letters/${one}/redrive`, {})).toMatchObject({
    status: 409,
    body: { code: "unreadable-payload" },
  });
  expect((await bridge.post("/dead-letters/redrive", {})).body).toMatchObject({
    redriven: [],
    unreadable: [{ command_id: one }, { command_id: two }],
  });
});

test("what was accepted before there were keys is delivered, unless clear text is refused: then it waits", async () => {
  const before = await startBridge({ worker: false });
  const repeated = { "Idempotency-Key": "the same" };
  const id = await accepted(before.post(...status("M1"), repeated));
  const after = await startBridge({
    functions: { PAYLOAD_KEYS: A, ALLOW_UNSEALED_PAYLOADS: "true", REDIS_PREFIX: before.prefix },
    worker: false,
  });
  expect(await accepted(after.post(...status("M1"), repeated))).toBe(id);

  await before.startWorker({ PAYLOAD_KEYS: A });
  await until("the health says so", async () => (await problems(before)).includes("ALLOW_UNSEALED_PAYLOADS"));
  expect(before.cad.ledger.summary().commands).toBe(0);
  await before.worker()?.stop();
  await before.startWorker({ PAYLOAD_KEYS: A, NODE_ENV: "production", ALLOW_UNSEALED_PAYLOADS: "true" });
  expect(await before.settled(id)).toMatchObject({ status: "confirmed", sends: 1 });
});
