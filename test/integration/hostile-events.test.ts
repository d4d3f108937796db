import { expect, test } from "vitest";
import { journalKeys } from "../../shared/journal/keys.ts";
import { openJournalReader } from "../../shared/journal/read.ts";
import { START } from "../../shared/redis/stream-id.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { withDestinations } from "../support/destinations.ts";
import { testRedis } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

/** What a CAD may send that a part on the way could stumble over: each is to arrive, at once, as JSON has it. */
test.each<[what: string, event: string, payload: unknown, data?: unknown]>([
  ["an id with half of a surrogate pair", "unit:status:updated", { unitId: "M\ud800", status: "enroute" }],
  ["an id with a NUL", "unit:status:updated", { unitId: "\u0000", status: "enroute" }],
  ["ids called __proto__", "unit:status:updated", { unitId: "__proto__", status: "x", incidentId: "__proto__" }],
  ["ids with colons", "unit:status:updated", { unitId: ":incident:I1", status: "x", incidentId: ":" }],
  ["ids of 200 characters of four bytes", "unit:status:updated", { unitId: "😀".repeat(100), status: "x" }],
  ["the time that .NET has for none", "incident:new", { incidentId: "I1", occurredAt: "0001-01-01T00:00:00" }],
  ["a time before year 0", "incident:new", { incidentId: "I1", occurredAt: "-000001-01-01T00:00:00Z" }],
  [
    "a priority that cannot become a number",
    "incident:new",
    { incidentId: "I1", priority: { valueOf: 1, toString: 1 } },
  ],
  ["no name", "", { a: 1 }],
  ["a name with a line's end and half of a surrogate pair", "a\nb\ud83d", { a: 1 }],
  ["a name of 200 characters of four bytes", `x${"😀".repeat(200)}`, { a: 1 }],
  ["bytes for a payload", "shift:changed", Buffer.from("abc"), { type: "Buffer", data: [97, 98, 99] }],
  ["bytes in a payload", "shift:changed", { b: Buffer.from("a") }, { b: { type: "Buffer", data: [97] } }],
  ["JSON in a text", "shift:changed", '{"a":1}'],
  ["nothing", "shift:changed", undefined, null],
])("%s", async (_what, event, payload, data = payload) => {
  const { bridge, receivers } = await withDestinations(["a"], [{ to: "a", events: "*" }]);
  bridge.cad.broadcast(event, payload);
  const [first] = await until("it came", () => receivers.a.received.length > 0 && receivers.a.received, 3000);
  expect(first).toMatchObject({ verified: true });
  expect(first?.data).toEqual(JSON.parse(JSON.stringify(data)));
  const [redis, keys] = [testRedis(), journalKeys(bridge.prefix)];
  const reader = openJournalReader(redis, keys, createSealer([]));
  const { entries } = await reader.page(START, 1);
  const [entry] = entries;
  expect(entry?.payload).toEqual(first?.data);
  expect(first?.type).toBe(entry?.event);
  await until("all handlers are done", async () =>
    Object.values(await redis.hgetall(keys.cursors)).every((cursor) => cursor === entry?.id),
  );
  expect(bridge.logs.filter((line) => line.fields["handler"] !== undefined)).toEqual([]);
});

test("a payload that is made for a filter holds up its own unit for seconds, the others not, and is told of", async () => {
  const rules = [{ to: "a", events: "*", filter: "payload.status.matches('^(a+)+$')" }];
  const { bridge, receivers } = await withDestinations(["a"], rules);
  const tell = (unitId: string, status: string) => bridge.cad.broadcast("unit:status:updated", { unitId, status });
  tell("M1", `${"a".repeat(50)}!`);
  tell("M1", "aa");
  tell("M2", "aaa");
  const all = await until("both came", () => receivers.a.received.length === 2 && receivers.a.received, 18_000);
  expect(all.map((r) => r.data)).toEqual([
    { unitId: "M2", status: "aaa" },
    { unitId: "M1", status: "aa" },
  ]);
  const failed = bridge.logs.filter((line) => line.level === "error" && line.fields["handler"] === "to:a");
  expect(failed).toMatchObject([{ fields: { reason: "a filter took longer than 100 ms" } }]);
});

test("what somebody else writes into the stream in Redis stops no handler and no reader", async () => {
  const { bridge, receivers, env } = await withDestinations(["a"], [{ to: "a", events: "*" }]);
  const [redis, { journal }] = [testRedis(), journalKeys(bridge.prefix)];
  const fields = { kind: "event", event: "unit:status:updated", keys: "[]", wrong: "[]", payload: "{}", received: "1" };
  for (const bad of [
    { keys: "{" },
    { keys: "7" },
    { wrong: "x" },
    { payload: "{" },
    { received: "x" },
    { occurred: "x" },
    { kind: "x" },
  ])
    await redis.xadd(journal, "*", ...Object.entries({ ...fields, ...bad }).flat());
  await redis.xadd(journal, "*", "some", "thing");
  await bridge.worker()?.stop();
  await bridge.startWorker(env);
  await bridge.healthy();
  bridge.cad.broadcast("unit:status:updated", { unitId: "M12", status: "enroute" });
  await until("what comes next came", () => receivers.a.received.some((r) => r.subject === "unit:M12"));
  expect((await bridge.get("/events/history")).status).toBe(200);
});
