import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { heartbeatAge } from "../../shared/health/heartbeat.ts";
import { HEARTBEAT_KEPT_MS } from "../../shared/health/worker-health.ts";
import { destinationKeys, outboxKeys } from "../../shared/redis/keys.ts";
import { journalKeys } from "../../shared/journal/keys.ts";
import { until } from "../../tools/support/until.ts";
import type { Bridge } from "../support/bridge.ts";
import { accepts, ALL, tell, withDestinations } from "../support/destinations.ts";
import { testRedis } from "../support/redis.ts";

const PAYLOAD_KEYS = `a:${randomBytes(32).toString("base64")}`;
const NEWER_KEYS = `b:${randomBytes(32).toString("base64")},${PAYLOAD_KEYS}`;
const KEYED = { PAYLOAD_KEYS };

const problemsOf = async (bridge: Bridge) =>
  JSON.stringify((await bridge.get("/health")).body["problems"] ?? "no answer");
const forgeriesOf = async (bridge: Bridge) =>
  ((await bridge.get("/audit?outcome=forged")).body["entries"] as { action: string; command_id: string | null }[]).map(
    ({ action, command_id: id }) => `${action} ${id ?? ""}`.trim(),
  );
const look = async (bridge: Bridge) =>
  (await bridge.get("/health")).body as { worker: { epoch: number | null }; bridge: { ready: boolean } };
const epochOf = async (bridge: Bridge) => (await look(bridge)).worker.epoch ?? 0;
/** Starts another worker, and waits until one that leads since `before` hears the CAD. */
async function startAnother(bridge: Bridge, env: Record<string, string>, since?: number): Promise<void> {
  const before = since ?? (await epochOf(bridge));
  await bridge.startWorker(env);
  await until(
    "it hears the CAD",
    async () => {
      const { worker, bridge: cad } = await look(bridge);
      return (worker.epoch ?? 0) > before && cad.ready;
    },
    20_000,
  );
}
/** The fields of a stream's row, with another value for one of them. */
const fieldsWith = (row: [string, string[]] | undefined, name: string, value: string): string[] =>
  (row?.[1] ?? []).with((row?.[1].indexOf(name) ?? 0) + 1, value);
const isForged = (bridge: Bridge, what: string) =>
  until(`${what} is noted as forged`, async () => (await forgeriesOf(bridge)).includes(what));

test("a heartbeat that no worker wrote, and an old one that is put back, say nothing", async () => {
  const { bridge } = await withDestinations(["a"], ALL, {}, { functions: KEYED, worker: KEYED });
  const redis = testRedis();
  const { health } = outboxKeys(bridge.prefix);
  const old = (await redis.get(health)) ?? "";
  await bridge.worker()?.stop();
  const put = (text: string) => redis.psetex(health, 7 * 24 * 3_600_000, text);

  await put(old.replace('"ready":false', '"ready":true').replace(/"rooms":\d+/, '"rooms":99'));
  expect(await problemsOf(bridge)).toContain("forged-record");
  await isForged(bridge, "FORGED heartbeat");
  await put(old.replace(/^mac:\S+ /, ""));
  expect(await problemsOf(bridge)).toContain("worker-unverified");

  // One of another time: it says itself how old it is, whatever Redis is told of its age.
  const parsed = JSON.parse(old.replace(/^mac:\S+ /, "")) as { written_at: number };
  expect(Math.abs(parsed.written_at / 1000 - Date.now())).toBeLessThan(10_000);
  const later = parsed.written_at + 3_600_000_000;
  const report = { ...parsed } as unknown as Parameters<typeof heartbeatAge>[0];
  expect(heartbeatAge(report, HEARTBEAT_KEPT_MS, later)).toBe(3600);
  // The clocks of Redis and its replica differ: that is no age.
  expect(heartbeatAge(report, HEARTBEAT_KEPT_MS - 500, parsed.written_at + 2_000_000)).toBe(0.5);
});

test("the state, the rules and an enable of a destination are believed only if the bridge wrote them, and for what they were written", async () => {
  const { bridge, receivers, env } = await withDestinations(["a", "b"], ALL, {}, { functions: KEYED, worker: KEYED });
  const redis = testRedis();
  const stateOf = async (id: string) =>
    ((await bridge.get("/destinations")).body["destinations"] as { id: string; state: string }[]).find(
      (one) => one.id === id,
    )?.state;
  const key = `${destinationKeys(bridge.prefix, "a").base}:state`;
  const other = `${destinationKeys(bridge.prefix, "b").base}:state`;
  receivers.a.answer(410);
  tell(bridge, "M1", 1);
  await until("it is disabled", async () => (await redis.hget(key, "state"))?.includes("disabled"));
  const disabled = (await redis.hget(key, "state")) ?? "";

  // Enabled by somebody who writes to Redis, in each way that there is.
  for (const [field, value] of [
    ["enables", "9"],
    ["enable", '{"since":1}'],
    ["enable", disabled],
    ["state", disabled.replace("disabled", "ok")],
  ] as const)
    await redis.hset(key, field, value);
  await isForged(bridge, "FORGED destination a");
  await until("the worker wrote it again", async () => (await redis.hget(key, "state")) === disabled);
  expect(await stateOf("a")).toBe("disabled");

  receivers.a.answer(200);
  await bridge.post("/destinations/a/enable", "");
  await accepts(receivers.a, 1);
  const enable = (await redis.hget(key, "enable")) ?? "";
  expect(enable).toMatch(/^mac:/);

  // What was true once is of that time: it ends no later state, and is no other destination's.
  receivers.a.answer(410);
  tell(bridge, "M1", 2);
  await until("it is disabled again", async () => (await stateOf("a")) === "disabled");
  await redis.hset(key, "enable", enable);
  await redis.hset(other, "state", disabled);
  await bridge.worker()?.stop();
  await startAnother(bridge, env);
  await until("the next worker has it", async () => (await stateOf("a")) === "disabled");
  expect(await stateOf("b")).toBe("ok");
});

test("a handler whose cursor was moved on, swapped or stripped of its MAC misses nothing", async () => {
  const { bridge, receivers, env } = await withDestinations(
    ["a", "b"],
    [...ALL, { to: "b", events: ["*"] }],
    {},
    { functions: KEYED, worker: KEYED },
  );
  const redis = testRedis();
  const { cursors } = journalKeys(bridge.prefix);
  tell(bridge, "M1", 1);
  await accepts(receivers.a, 1);
  await until("it is noted", async () => (await redis.hget(cursors, "to:a"))?.startsWith("mac:"));
  await bridge.worker()?.stop();
  const stored = await redis.hgetall(cursors);
  await redis.hset(cursors, "to:a", (stored["to:a"] ?? "").replace(/ .*$/, " 9999999999999-0"));
  await redis.hset(cursors, "to:b", stored["state"] ?? "");
  await startAnother(bridge, env);
  tell(bridge, "M1", 2);
  await accepts(receivers.a, 2);
  await accepts(receivers.b, 2);
  await isForged(bridge, "FORGED event cursor of to:a");
  await isForged(bridge, "FORGED event cursor of to:b");
  await until("the health says so", async () => (await problemsOf(bridge)).includes("forged-record"));
});

test("a restart, another worker, a rotated key and records from before there were MACs raise no alarm", async () => {
  const { bridge, receivers, env } = await withDestinations(["a"], ALL);
  const redis = testRedis();
  tell(bridge, "M1", 1);
  await accepts(receivers.a, 1);
  await bridge.worker()?.stop();
  let told = 1;
  let since: number | undefined;
  for (const keys of [
    { PAYLOAD_KEYS, ALLOW_UNSEALED_PAYLOADS: "true" },
    KEYED,
    { PAYLOAD_KEYS: NEWER_KEYS },
    { PAYLOAD_KEYS: NEWER_KEYS },
  ]) {
    await startAnother(bridge, { ...env, ...keys }, since);
    tell(bridge, "M1", (told += 1));
    await accepts(receivers.a, told);
    since = await epochOf(bridge);
    // Frozen and overtaken, rather than stopped: its last words are still there. It may take over again itself.
    if (told === 4) await redis.del(outboxKeys(bridge.prefix).lease);
    else await bridge.worker()?.stop();
  }
  expect(receivers.a.accepted().length).toBe(told);
  expect(bridge.logs.filter(({ message }) => /not written by the bridge/.test(message))).toEqual([]);
  expect(await forgeriesOf(bridge)).toEqual([]);
}, 60_000);

test("an event of the journal that was re-timed, relabelled, copied or swapped in Redis is shown and sent as nothing", async () => {
  const { bridge, receivers, env } = await withDestinations(["a"], ALL, {}, { functions: KEYED, worker: KEYED });
  const redis = testRedis();
  const { cursors, journal } = journalKeys(bridge.prefix);
  tell(bridge, "M0", 1);
  await accepts(receivers.a, 1);
  await until("it is noted", async () => (await redis.hget(cursors, "to:a"))?.startsWith("mac:"));
  const before = await redis.hgetall(cursors);
  const sent = 5;
  for (let n = 1; n <= sent; n += 1) tell(bridge, `M${n}`, n);
  await accepts(receivers.a, sent + 1);
  await bridge.worker()?.stop();

  const rows = await redis.xrange(journal, "-", "+");
  const at = (n: number) => rows.findIndex(([, fields]) => fields.includes(`["unit:M${n}"]`));
  const contents = rows.map(([, fields]) => fields);
  contents[at(1)] = fieldsWith(rows[at(1)], "received", "1000000000000000");
  contents[at(2)] = fieldsWith(rows[at(2)], "own", "made-up");
  [contents[at(3)], contents[at(4)]] = [contents[at(4)] ?? [], contents[at(3)] ?? []];
  await redis.del(journal);
  for (const [i, [id]] of rows.entries()) await redis.xadd(journal, id, ...(contents[i] ?? []));
  const copied = (await redis.xadd(journal, "*", ...(rows[at(5)]?.[1] ?? []))) ?? "";
  // What waits is old, but true: whoever puts a cursor back has events handled again, which the outbox knows.
  await redis.hset(cursors, before);
  const records = await redis.keys(`${destinationKeys(bridge.prefix, "a").base}:record:*`);
  await redis.del(...records);
  await startAnother(bridge, env);
  for (const id of [rows[at(1)]?.[0], rows[at(2)]?.[0], rows[at(4)]?.[0], copied]) {
    await isForged(bridge, `FORGED event ${id}`);
    expect((await bridge.get(`/events/${id}`)).body, id).toMatchObject({ kind: "malformed", payload: null });
  }
  tell(bridge, "M9", 9);
  await until("what came after it is sent", () => receivers.a.accepted().some(({ subject }) => subject === "unit:M9"));
  const again = receivers.a.accepted().slice(sent + 1);
  // The first may be handled again as well: it is true.
  // Each unit's are in order; between units there is none.
  const subjects = again.map(({ subject }) => subject ?? "").filter((subject) => subject !== "unit:M0");
  expect(subjects.toSorted()).toEqual([...["unit:M4", "unit:M5", "unit:M9"]]);
});

test("a writer to Redis cannot pass events off as written: the worker writes them again", async () => {
  const { bridge, receivers } = await withDestinations(["a"], ALL, {}, { functions: KEYED, worker: KEYED });
  const redis = testRedis();
  tell(bridge, "M1", 1);
  await accepts(receivers.a, 1);
  await redis.hset(`${journalKeys(bridge.prefix).cad}:written`, "batch", "9999999");
  tell(bridge, "M1", 2);
  await accepts(receivers.a, 2, 15_000);
});
