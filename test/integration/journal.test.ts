import type { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import { commands } from "../../shared/commands/table.ts";
import { events } from "../../shared/events/table.ts";
import { BRIDGE_EVENTS } from "../../shared/journal/entry.ts";
import type { JournalKeys } from "../../shared/journal/keys.ts";
import { openJournalReader } from "../../shared/journal/read.ts";
import { START } from "../../shared/redis/stream-id.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { openCheckpoints, readHandled } from "../../shared/journal/checkpoints.ts";
import { openJournalWriter } from "../../shared/journal/write.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";
import { viewJournal } from "../support/journal.ts";
import { keptLog } from "../support/log.ts";
import { freshPrefix } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

const journalOf = (bridge: Bridge) => viewJournal(bridge.prefix);

const writer = (redis: Redis, keys: JournalKeys, sealer = createSealer([])) =>
  openJournalWriter({
    redis,
    keys,
    sealer,
    token: "me",
    cad: "cad",
    keptMs: 60_000,
    maxEntries: 1000,
    maxBytes: 0,
    signal: new AbortController().signal,
    log: keptLog().log,
  });

const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();

describe("the journal", () => {
  test("has every event of the table as the CAD sent it, in the order in which they came", async () => {
    const bridge = await startBridge();
    const { entries } = journalOf(bridge);
    const sent = events.map((event) => ({ event: event.name, payload: { ...event.examples[0], extra: event.name } }));
    for (const { event, payload } of sent) bridge.cad.broadcast(event, payload);
    const found = await until("all are there", async () => {
      const all = (await entries()).filter((e) => e.kind !== "bridge");
      return all.length >= sent.length && all;
    });
    expect(found.map(({ event, payload }) => ({ event, payload }))).toEqual(sent);
    expect(new Set(found.map((e) => e.kind))).toEqual(new Set(["event"]));
  });

  test.each([
    ["null", null],
    ["a text", "M12"],
    ["a number", 7],
    ["nothing of what it should have", { some: "thing" }],
    ["an id of the wrong kind", { unitId: { a: 1 }, status: "x" }],
  ])("keeps a payload that is %s, as malformed, with what is wrong", async (_what, payload) => {
    const bridge = await startBridge();
    const { has } = journalOf(bridge);
    bridge.cad.broadcast("unit:status:updated", payload);
    const [entry] = await has("unit:status:updated");
    expect(entry).toMatchObject({ kind: "malformed", payload, wrong: expect.arrayContaining([expect.any(String)]) });
    bridge.cad.broadcast("unit:status:updated", { unitId: "M12", status: "enroute" });
    await has("unit:status:updated", 2);
  });

  test("keeps an event that is in no table, as unknown", async () => {
    const bridge = await startBridge();
    const { has } = journalOf(bridge);
    bridge.cad.broadcast("shift:changed", { crew: 3 });
    expect(await has("shift:changed")).toMatchObject([{ kind: "unknown", payload: { crew: 3 }, keys: ["other"] }]);
  });

  test("marks the echo of an own command with the command's id, and no other event", async () => {
    const bridge = await startBridge({ cad: { character: "legacy" } });
    const { has } = journalOf(bridge);
    bridge.cad.broadcast("unit:status:updated", { unitId: "M12", status: "onscene" });
    const { command_id: id } = await bridge.deliver("/units/status", { unit_id: "M12", status: "enroute" });
    const found = await has("unit:status:updated", 2);
    expect(found.map((e) => [(e.payload as { status: string }).status, e.own])).toEqual([
      ["onscene", undefined],
      ["enroute", id],
    ]);
  });

  test("has an event before the CAD that asked for an ack gets it", async () => {
    const bridge = await startBridge({ cad: { character: "modern" } });
    const { entries } = journalOf(bridge);
    const answers = await bridge.cad.ask("unit:status:updated", { unitId: "M12", status: "enroute" });
    expect(answers).toHaveLength(1);
    expect((await entries()).filter((e) => e.event === "unit:status:updated")).toHaveLength(1);
  });

  test("writes an event that comes twice under the CAD's own id once", async () => {
    const bridge = await startBridge();
    const { has, entries } = journalOf(bridge);
    const event = { unitId: "M12", status: "enroute", eventId: "e-1" };
    bridge.cad.broadcast("unit:status:updated", event);
    bridge.cad.broadcast("unit:status:updated", event);
    bridge.cad.broadcast("unit:status:updated", { ...event, eventId: "e-2" });
    await until("the last is there", async () => (await entries()).some((e) => e.eventId === "e-2"));
    expect((await has("unit:status:updated")).map((e) => e.eventId)).toEqual(["e-1", "e-2"]);
  });
});

test("an entry was received no earlier than the one before it, however long that one's batch took to get through", async () => {
  const { redis, keys } = viewJournal(freshPrefix());
  await redis.set(`${keys.cad}:owner`, "me");
  const journal = writer(redis, keys);
  const blank = { keys: [], payload: null, eventId: undefined, own: undefined, recovered: undefined, wrong: [] };
  const entry = { ...blank, kind: "unknown" as const, event: "x", occurredAt: undefined };
  // Its age was taken before Redis went away for seconds; what came meanwhile had its age taken after.
  const [late] = await journal.append([{ ...entry, ageMs: 0 }]);
  const [next] = await journal.append([{ ...entry, ageMs: 4000 }]);
  expect(next?.receivedAt).toBeGreaterThanOrEqual(late?.receivedAt ?? Infinity);
});

describe("a command that the CAD does not broadcast", () => {
  const TRANSPORT = { incident_id: "I1", epcr_id: "E1", transport_type: "ALS" };

  test("is told by the bridge itself, once the CAD's process has it: in the journal, with the command's id", async () => {
    const bridge = await startBridge({ cad: { character: "legacy" } });
    const { has, handled, redis, keys } = journalOf(bridge);
    const receipt = await bridge.deliver("/transport/completed", TRANSPORT);
    expect(receipt.status).toBe("received");
    const [entry, ...more] = await has("transport:completed");
    expect(more).toEqual([]);
    expect(entry).toMatchObject({ kind: "bridge", own: receipt.command_id, keys: ["incident:I1"] });
    expect(entry?.payload).toMatchObject({
      incidentId: "I1",
      epcrId: "E1",
      context: { commandId: receipt.command_id },
    });
    if (entry) await handled(entry, "state");
    expect(JSON.parse((await redis.hget(keys.state("incident:I1"), "completion")) ?? "")).toMatchObject({
      epcrId: "E1",
    });
  });

  test("is in the journal once, as the CAD's own event, where the CAD does tell of it", async () => {
    const bridge = await startBridge({ cad: { character: "modern" } });
    const { has } = journalOf(bridge);
    const { command_id: id } = await bridge.deliver("/transport/completed", TRANSPORT);
    await bridge.deliver("/incidents/status", { incident_id: "I1", status: "COMPLETED", user_id: "u" });
    await has("incident:status:updated");
    expect(await has("transport:completed")).toMatchObject([{ kind: "event", own: id }]);
  });

  test("is told of once, although the worker stopped between the telling and the end, and it was sent again", async () => {
    const bridge = await startBridge({ cad: { character: "legacy" } });
    const { has, redis } = journalOf(bridge);
    const { command_id: id } = await bridge.deliver("/transport/completed", TRANSPORT);
    await bridge.worker()?.stop();
    // As a crash right before the end would have left it.
    const { base, record, runnable, open } = outboxKeys(bridge.prefix);
    await redis.hset(record(id), { state: "sent", body: JSON.stringify(TRANSPORT) });
    await redis.hdel(record(id), "settled_at");
    await redis.rpush(`${base}:line:incident:I1`, id);
    await redis.zadd(runnable, 1, id);
    await redis.zadd(open, 1, id);
    await bridge.startWorker();
    expect((await bridge.settled(id)).status).toBe("received");
    await bridge.deliver("/transport/completed", { ...TRANSPORT, epcr_id: "E2" });
    expect((await has("transport:completed", 2)).map((e) => (e.payload as { epcrId: string }).epcrId)).toEqual([
      "E1",
      "E2",
    ]);
    expect(bridge.cad.ledger.entries().filter((e) => e.event === "transport:completed").length).toBe(3);
  });
});

describe("event handlers", () => {
  test("each note what they made of an entry, and how long it took", async () => {
    const bridge = await startBridge();
    const { has, handled } = journalOf(bridge);
    bridge.cad.broadcast("incident:new", { incidentId: "I1", priority: 1 });
    const [entry] = await has("incident:new");
    if (!entry) throw new Error("no entry");
    expect(await handled(entry, "state")).toMatchObject({ outcome: "done", tries: 1, durationMs: expect.any(Number) });
    expect(await handled(entry, "high-priority")).toMatchObject({ outcome: "done" });
    expect(await has(BRIDGE_EVENTS.highPriority)).toMatchObject([{ kind: "bridge", keys: ["incident:I1"] }]);
  });

  test("go on where they were when another worker takes over, and miss nothing in between", async () => {
    const bridge = await startBridge();
    const { has, handled } = journalOf(bridge);
    bridge.cad.broadcast("incident:new", { incidentId: "I1", priority: 1 });
    await has(BRIDGE_EVENTS.highPriority);
    await bridge.worker()?.stop();
    await bridge.startWorker();
    await bridge.healthy();
    bridge.cad.broadcast("incident:new", { incidentId: "I2", priority: 1 });
    const notices = await has(BRIDGE_EVENTS.highPriority, 2);
    expect(notices.map((e) => e.keys[0])).toEqual(["incident:I1", "incident:I2"]);
    const [, second] = await has("incident:new", 2);
    if (!second) throw new Error("no entry");
    await handled(second, "state");
  });

  test("a later-arriving older event does not overwrite what is newer", async () => {
    const bridge = await startBridge();
    const { has, handled, redis, keys } = journalOf(bridge);
    bridge.cad.broadcast("unit:status:updated", { unitId: "M12", status: "onscene", occurredAt: minutesAgo(1) });
    bridge.cad.broadcast("unit:status:updated", { unitId: "M12", status: "enroute", occurredAt: minutesAgo(5) });
    const [, older] = await has("unit:status:updated", 2);
    if (!older) throw new Error("no entry");
    await handled(older, "state");
    expect(await redis.hget(keys.state("unit:M12"), "status")).toBe('"onscene"');
  });
});

test("a worker that is not the owner any more cannot set a handler back, nor note what it did", async () => {
  const { redis, keys } = viewJournal(freshPrefix());
  const [old, now] = ["1:old", "2:now"].map((token) =>
    openCheckpoints(redis, keys, createSealer([]), token, 60_000, 1000),
  );
  await redis.set(`${keys.cad}:owner`, "2:now");
  await now?.note("state", [], "9-0");
  const outcome = { entry: "3-0", handler: "state", outcome: "done", durationMs: 1, tries: 1 } as const;
  await expect(old?.note("state", [outcome], "3-0")).rejects.toThrow("does not own");
  expect([await now?.cursor("state"), await readHandled(redis, keys, createSealer([]), "3-0")]).toEqual(["9-0", []]);
});

test("what the handlers did is forgotten about when the journal drops the entry, be it for its age or for their number", async () => {
  const { redis, keys } = viewJournal(freshPrefix());
  await redis.set(`${keys.cad}:owner`, "me");
  const keptMs = 7 * 24 * 3_600_000;
  const record = openCheckpoints(redis, keys, createSealer([]), "me", keptMs, 2);
  const noteOne = async (entry: string) => {
    await record.note("state", [{ entry, handler: "state", outcome: "done", durationMs: 1, tries: 1 }], entry);
    return await redis.pttl(keys.handled(entry));
  };
  const hourAgo = Date.now() - 3_600_000;
  await redis.xadd(keys.journal, `${hourAgo}-0`, "event", "x");
  expect(await noteOne(`${hourAgo}-0`)).toBeGreaterThan(keptMs - 60_000);
  await redis.xadd(keys.journal, "*", "event", "x");
  const left = await noteOne(`${hourAgo}-1`);
  expect(left).toBeGreaterThan(3_600_000);
  expect(left).toBeLessThan(3 * 3_600_000);
});

test("a batch that Redis gets to see only after the next one is not written again", async () => {
  const { redis, keys, entries } = viewJournal(freshPrefix());
  await redis.set(`${keys.cad}:owner`, "me");
  // Redis executes the first batch, and its answer is lost; on a slow line it comes once more, after the second.
  const seen: string[][] = [];
  const call = redis.sendCommand.bind(redis);
  const journal = writer(redis, keys);
  redis.sendCommand = (command, ...more) => {
    if (command.name === "evalsha") seen.push(command.args.map(String));
    return call(command, ...more);
  };
  const blank = { keys: [], payload: null, eventId: undefined, own: undefined, recovered: undefined, wrong: [] };
  const entry = { ...blank, kind: "unknown" as const, occurredAt: undefined, ageMs: 0 };
  await journal.append([{ ...entry, event: "first" }]);
  await journal.append([{ ...entry, event: "second" }]);
  const [first] = seen;
  await redis.call("evalsha", ...(first ?? []));
  expect((await entries()).map((e) => e.event)).toEqual(["first", "second"]);
});

test("a payload is shown as of no other event, and as about nobody else, by whoever can write to Redis", async () => {
  const { redis, keys } = viewJournal(freshPrefix());
  await redis.set(`${keys.cad}:owner`, "me");
  const sealer = createSealer([{ id: "a", secret: crypto.getRandomValues(new Uint8Array(32)) }]);
  const entry = { kind: "event" as const, occurredAt: undefined, ageMs: 0, eventId: undefined, own: undefined };
  const told = {
    ...entry,
    event: "odd \ud800",
    keys: ["unit:1"] as const,
    payload: { n: 1 },
    recovered: undefined,
    wrong: [],
  };
  await writer(redis, keys, sealer).append([told]);
  const [[, fields] = ["", []]] = await redis.xrange(keys.journal, "-", "+");
  for (const [name, value] of [
    ["keys", '["unit:2"]'],
    ["event", "incident:new"],
    ["ref", "another"],
  ] as const)
    await redis.xadd(
      keys.journal,
      "*",
      ...fields.map((text, i) => (fields[i - 1] === name && i % 2 === 1 ? value : text)),
    );
  const { entries } = await openJournalReader(redis, keys, sealer).page(START, 10);
  expect(entries.map((e) => e.payload)).toEqual([{ n: 1 }, null, null, null]);
  expect(entries.slice(1).map((e) => e.kind)).toEqual(["malformed", "malformed", "malformed"]);
});

/** What the CAD broadcasts for each command; the joins and leaves have no echo, and two have none on a legacy CAD. */
const echoes = (["legacy", "modern"] as const).flatMap((character) =>
  commands
    .filter((command) => !command.name.startsWith("rooms/"))
    .filter((command) => command.echo ?? character === "modern")
    .map((command) => ({ character, command, name: command.name, echo: command.echo?.event ?? command.emits[0] })),
);

test.each(echoes)(
  "the echo of $name on a $character CAD is marked as the bridge's own, and what another sends of the same is not",
  async ({ character, command, echo }) => {
    const cad = { character, switches: { delayMs: { min: 400, max: 400 } } };
    const bridge = await startBridge({ cad });
    const { has, entries } = journalOf(bridge);
    const { body } = await bridge.post(`/${command.name}`, command.examples[0].body);
    const id = body["command_id"];
    const sent = await until("it is sent", () => bridge.cad.ledger.entries().find((e) => e.commandId === id));
    const value = command.echo?.fields.at(-1) ?? "timestamp";
    const { context: _, ...payload } = sent.payload as Record<string, unknown>;
    bridge.cad.broadcast(echo, { ...payload, [value.split(".")[0] ?? ""]: "of another" });
    expect((await bridge.settled(id)).status).toMatch(command.echo ? /^confirmed$/ : /^(confirmed|received)$/);
    // Whatever comes behind it is in the journal by then, and the CAD has told of it by then.
    await bridge.deliver("/incidents/status", { incident_id: "last", status: "COMPLETED", user_id: "u" });
    await until("all is there", async () => (await entries()).some((e) => e.keys[0] === "incident:last"));
    const told = (await has(echo, 2)).filter((e) => e.keys[0] !== "incident:last");
    expect(told.map((e) => e.own)).toEqual([undefined, id]);
  },
);

test("large entries are read in pages of some MB, so that a handler that is behind leaves room for everything else", async () => {
  const bridge = await startBridge();
  const { redis, keys } = viewJournal(bridge.prefix);
  const reader = openJournalReader(redis, keys, createSealer([]));
  const blank = { kind: "unknown", event: "x", ref: "r", keys: '["other"]', wrong: "[]" };
  const payload = JSON.stringify("x".repeat(400_000));
  for (let i = 0; i < 30; i += 1) await redis.xadd(keys.journal, "*", ...Object.entries({ ...blank, payload }).flat());
  const sizes: number[] = [];
  for (let [at, more] = [START, true]; more;) {
    const page = await reader.page(at, 100);
    sizes.push(page.entries.length);
    ({ more } = page);
    at = page.entries.at(-1)?.id ?? at;
  }
  expect(Math.max(...sizes)).toBeLessThanOrEqual(8);
  expect(sizes.reduce((sum, n) => sum + n)).toBe(30);
  expect(await reader.page(START, 3)).toMatchObject({ entries: [{}, {}, {}], more: true });
});
