import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Receipt } from "../../shared/commands/receipt.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";
import { testRedis } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

const PAYLOAD_KEYS = `a:${randomBytes(32).toString("base64")}`;

/** The fields of a record, as FORMAT.md lists them. */
const [, TABLE = ""] = /## Message record\n(.*?)\n## /s.exec(readFileSync("shared/outbox/FORMAT.md", "utf8")) ?? [];
const FIELDS = [...TABLE.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, names = ""]) =>
  [...names.matchAll(/`([a-z_]+)`/g)].map(([, name = ""]) => name),
);

/** What somebody who writes to Redis might set a field to, and what of a waiting command is believed all the same. */
const FORGED: Record<string, string> = {
  kind: "incidents/status",
  keys: '["unit:OTHER"]',
  body: "sealed:v1:a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
  user: "somebody",
  role: "dispatcher",
  fingerprint: "0".repeat(64),
  latest: "1",
  ttl: "999000000",
  issued_at: "1000000000000000",
  head: `mac:v1:a:${"A".repeat(43)}`,
  state: "confirmed",
  reason: "because",
  by: "ack",
  final: `mac:v1:a:${"A".repeat(43)}`,
  accepted_at: "1893456000000000",
  expires_at: "1893456000000000",
  sends: "7",
  refusals: "9",
  unanswered: "9",
  overtaken_by: "another",
  sent_at: "1893456000000000",
  settled_at: "1893456000000000",
  redrive_of: "another",
  redriven_as: "another",
  redriven: `mac:v1:a:${"A".repeat(43)}`,
  held: "1",
  kept: "1",
  trace: `mac:v1:a:${"A".repeat(43)} 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`,
};
/** Of a command that waits, these are the scheduling's own: whatever they say, it is delivered as it was accepted, or later. */
const HARMLESS_WAITING = new Set([
  "sends",
  "refusals",
  "unanswered",
  "overtaken_by",
  "sent_at",
  "settled_at",
  "reason",
  "by",
  "final",
  "held",
  "kept",
]);
const post = async (bridge: Bridge, unit: string, headers = {}) => {
  const { status, body } = await bridge.post("/units/status", { unit_id: unit, status: "enroute" }, headers);
  expect(status).toBe(202);
  return String(body["command_id"]);
};

test("FORMAT.md lists the fields that are tampered with here, and no others", () => {
  expect(Object.keys(FORGED).toSorted()).toEqual([...new Set(FIELDS)].toSorted());
});

test("a field of a waiting command that was changed in Redis is not believed: it goes out as accepted, or is a dead letter that says so", async () => {
  const bridge = await startBridge({ functions: { PAYLOAD_KEYS }, worker: false });
  const redis = testRedis();
  const keys = outboxKeys(bridge.prefix);
  const ids = new Map<string, string>();
  for (const field of Object.keys(FORGED)) ids.set(field, await post(bridge, `U-${field}`, { "Command-TTL": "60" }));
  for (const [field, id] of ids) await redis.hset(keys.record(id), field, FORGED[field] ?? "");
  // Where it waits is Redis's own affair: a command that was taken off its queue only waits.
  await redis.rpush(`${keys.base}:line:unit:OTHER`, ids.get("keys") ?? "");
  const stateId = ids.get("state") ?? "";
  // A final state that nobody vouches for is told as forged, and never as a receipt.
  for (const state of ["confirmed", "received", "unconfirmed", "rejected", "failed", "expired", "superseded"]) {
    await redis.hset(keys.record(stateId), "state", state);
    expect(await bridge.get(`/commands/${stateId}`)).toMatchObject({ body: { code: "forged-record" } });
  }
  await bridge.startWorker({ PAYLOAD_KEYS });
  for (const [field, id] of ids) {
    if (["state", "redriven_as", "redriven"].includes(field)) continue;
    const outcome = await until(`${field} is settled`, async () => {
      const { status, body } = await bridge.get(`/commands/${id}`);
      return status === 200 && body["final"] === true && (body as unknown as Receipt);
    });
    if (HARMLESS_WAITING.has(field)) expect([field, outcome.status]).toEqual([field, "confirmed"]);
    else expect([field, outcome.status, outcome.reason]).toEqual([field, "failed", expect.stringMatching(/^forged: /)]);
    expect(outcome.accepted_at < "2029").toBe(true);
  }
  const sent = JSON.stringify(bridge.cad.ledger.entries());
  expect(sent).not.toMatch(/somebody|OTHER|incident:status|2030-/);
  await until("the health says so", async () =>
    JSON.stringify((await bridge.get("/health")).body).includes("forged-record"),
  );
  await until("the audit trail says so", async () => {
    const { entries } = (await bridge.get("/audit?outcome=forged")).body as { entries: { command_id: string }[] };
    return entries.some((entry) => entry.command_id === ids.get("role"));
  });
  const letters = (await bridge.get("/dead-letters?reason=forged")).body["dead_letters"] as { command_id: string }[];
  expect(letters.map((letter) => letter.command_id)).toContain(ids.get("kind"));
});

test("a field of a receipt that was changed in Redis is not believed", async () => {
  const bridge = await startBridge({
    functions: { PAYLOAD_KEYS },
    worker: { PAYLOAD_KEYS },
    cad: { character: "modern" },
  });
  const redis = testRedis();
  const keys = outboxKeys(bridge.prefix);
  const id = await post(bridge, "M1", { "Command-TTL": "60" });
  const other = await post(bridge, "M2");
  const receipt = await bridge.settled(id);
  await bridge.settled(other);
  const stored = await redis.hgetall(keys.record(id));
  const others = await redis.hgetall(keys.record(other));
  const asked = async () => (await bridge.get(`/commands/${id}`)).body;
  for (const [field, forged] of Object.entries(FORGED)) {
    for (const value of [forged, others[field] ?? "", ""]) {
      if (value === (stored[field] ?? "")) continue;
      await redis.hset(keys.record(id), field, value);
      const answer = await asked();
      // Without these there is no record: to delete is what remains.
      if (value === "" && ["kind", "keys", "accepted_at"].includes(field))
        expect(answer).toMatchObject({ code: "not-found" });
      else if (answer["code"] !== "forged-record")
        expect([field, value, answer]).toEqual([
          field,
          value,
          // A head that was changed, and an outcome that was not: the outcome alone.
          answer["command"] === receipt.command
            ? receipt
            : { ...receipt, command: "(changed in Redis)", ordering_keys: [], expires_at: null, proof: "received" },
        ]);
      await redis.del(keys.record(id));
      await redis.hset(keys.record(id), stored);
    }
  }
  expect(await asked()).toEqual(receipt);
  // Set back to a state before: it was not settled, as far as anybody can tell, and is not told as anything else.
  await redis.hset(keys.record(id), "state", "expired", "reason", "its time to live passed before it could be sent");
  expect(await asked()).toMatchObject({ code: "forged-record" });
  // The whole record of another command in its place.
  await redis.hset(keys.record(id), others);
  expect(await asked()).toMatchObject({ code: "forged-record" });
});

test("a command that was written to Redis without a key is not sent, and one that replays another's Idempotency-Key is not believed", async () => {
  const bridge = await startBridge({ functions: { PAYLOAD_KEYS }, worker: { PAYLOAD_KEYS } });
  const redis = testRedis();
  const keys = outboxKeys(bridge.prefix);
  const id = await post(bridge, "M1", { "Idempotency-Key": "one" });
  await bridge.settled(id);
  const stored = await redis.hgetall(keys.record(id));
  const made = { ...stored, state: "queued", body: '{"unit_id":"M9","status":"enroute"}', keys: '["unit:M9"]' };
  await redis.hset(keys.record("made"), made);
  await redis.rpush(`${keys.base}:line:unit:M9`, "made");
  await redis.zadd(keys.runnable, 1, "made");
  await redis.zadd(keys.open, 1, "made");
  const receipt = await bridge.settled("made");
  expect(receipt).toMatchObject({ status: "failed", reason: expect.stringMatching(/^forged: /) });
  expect(bridge.cad.ledger.summary().commands).toBe(1);

  await redis.hset(keys.record(id), "fingerprint", "x");
  const again = { unit_id: "M1", status: "available" };
  expect((await bridge.post("/units/status", again, { "Idempotency-Key": "one" })).status).not.toBe(202);
});
