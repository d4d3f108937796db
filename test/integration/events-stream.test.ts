import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { events } from "../../shared/events/table.ts";
import { BRIDGE_EVENTS } from "../../shared/journal/entry.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { startRedis } from "../../tools/setup/redis.ts";
import { type Bridge, JWT_SECRET, startBridge, tokens } from "../support/bridge.ts";
import { ownJournal } from "../support/own-journal.ts";
import { openStream, type StreamClient } from "../support/sse.ts";
import { until } from "../../tools/support/until.ts";

const sign = (claims: Record<string, unknown>, expires: string) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256" })
    .setSubject("u")
    .setExpirationTime(expires)
    .sign(new TextEncoder().encode(JWT_SECRET));

const stream = (bridge: { url: string }, query = "", headers: Record<string, string> = {}) =>
  openStream(bridge, tokens.dispatcher, query, headers);

/** The functions alone, with a journal that the test writes. */
async function withJournal(functions?: Record<string, string>) {
  const bridge = await startBridge({ worker: false, ...(functions && { functions }) });
  return { bridge, journal: await ownJournal(bridge.prefix) };
}
const numbers = (client: StreamClient) => client.entries.map((e) => (e.payload as { n: number }).n);
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

describe("GET /events", () => {
  test("tells every event of the CAD as it comes, with all that is known of it", async () => {
    const bridge = await startBridge({ cad: { character: "legacy" } });
    const client = await stream(bridge);
    expect(client.status).toBe(200);
    expect(client.headers.get("Content-Type")).toMatch(/^text\/event-stream/);
    const { command_id: id } = await bridge.deliver("/units/status", { unit_id: "M12", status: "enroute" });
    const sent = events.map((event) => ({ event: event.name, payload: { ...event.examples[0] } }));
    for (const { event, payload } of sent) bridge.cad.broadcast(event, payload);
    bridge.cad.broadcast("shift:changed", { crew: 3 });
    bridge.cad.broadcast("unit:status:updated", { unitId: { a: 1 } });
    const told = await until("all are told", () => {
      const found = client.entries.filter((e) => e.kind !== "bridge");
      return found.length >= sent.length + 3 && found;
    });
    expect(told[0]).toEqual({
      id: expect.stringMatching(/^\d+-\d+$/),
      cad: bridge.cad.url,
      event: "unit:status:updated",
      kind: "event",
      occurred_at: null,
      received_at: expect.stringMatching(/^\d{4}-.*Z$/),
      own_command: id,
      recovered: null,
      about: { units: ["M12"], incidents: [] },
      payload: expect.objectContaining({ unitId: "M12", status: "enroute" }),
      wrong: [],
    });
    expect(told.slice(1, -2).map(({ event, payload, own_command }) => ({ event, payload, own_command }))).toEqual(
      sent.map((one) => ({ ...one, own_command: null })),
    );
    expect(told.at(-2)).toMatchObject({ event: "shift:changed", kind: "unknown", payload: { crew: 3 } });
    expect(told.at(-1)).toMatchObject({ kind: "malformed", wrong: expect.arrayContaining(["unitId"]) });
    expect(client.names).toEqual(client.entries.map((e) => e.event));
  });

  test("without an id it begins with what comes from now on, and a client that leaves before the first event misses none", async () => {
    const { bridge, journal } = await withJournal();
    await journal.write({ payload: { n: -1 } });
    const client = await stream(bridge);
    await until("it knows where it is", () => client.lastId());
    client.leave();
    await journal.write({ payload: { n: 0 } });
    const back = await stream(bridge, "", { "Last-Event-ID": String(client.lastId()) });
    await journal.write({ payload: { n: 1 } });
    await back.told(2);
    expect(numbers(back)).toEqual([0, 1]);
  });

  test("a client whose connection breaks again and again gets every event once, while they keep coming", async () => {
    const { bridge, journal } = await withJournal();
    const COUNT = 3000;
    const got: number[] = [];
    let client = await stream(bridge);
    await until("it knows where it is", () => client.lastId());
    const writing = (async () => {
      for (let n = 0; n < COUNT; n += 10) {
        await journal.write(...upTo(10).map((i) => ({ payload: { n: n + i } })));
      }
    })();
    let connections = 1;
    await until(
      "all came",
      async () => {
        // Each connection is left at another place: after no event, after some, in the middle of a page.
        await until(
          "something came, or it is time to leave",
          () => client.entries.length >= connections * 7 || got.length + client.entries.length >= COUNT,
        );
        const last = client.lastId();
        client.leave();
        // What came after its last whole event was cut off on the way, and counts for nothing.
        got.push(...numbers(client));
        if (got.length >= COUNT) return true;
        client = await stream(bridge, "", { "Last-Event-ID": String(client.entries.at(-1)?.id ?? last) });
        expect(client.status).toBe(200);
        connections += 1;
        return false;
      },
      30_000,
    );
    await writing;
    expect(connections).toBeGreaterThan(5);
    expect(got).toEqual(upTo(COUNT));
  });

  test("two processes of the functions serve the same stream, and a client may change between them", async () => {
    const { bridge, journal } = await withJournal();
    const other = await startBridge({ worker: false, functions: { REDIS_PREFIX: bridge.prefix } });
    const clients = await Promise.all([stream(bridge), stream(bridge), stream(other), stream(other)]);
    for (let n = 0; n < 100; n += 1) await journal.write({ payload: { n } });
    for (const client of clients) {
      await client.told(100);
      expect(numbers(client)).toEqual(upTo(100));
    }
    const there = await stream(other, "", { "Last-Event-ID": String(clients[0]?.entries[49]?.id) });
    await there.told(50);
    expect(numbers(there)).toEqual(upTo(100).slice(50));
  });

  test("while Redis is away a stream stays open, and goes on without a gap when it is back", async () => {
    const dir = mkdtempSync(join(tmpdir(), "socket-bridge-stream-"));
    let redis = await startRedis({ dir, appendonly: true });
    onTestFinished(async () => {
      await redis.stop();
      rmSync(dir, { recursive: true, force: true });
    });
    const bridge = await startBridge({
      redisUrl: redis.url,
      worker: false,
      functions: { STREAM_HEARTBEAT_MS: "300" },
    });
    const journal = await ownJournal(bridge.prefix, { redisUrl: redis.url });
    const client = await stream(bridge);
    await until("it knows where it is", () => client.lastId());
    await journal.write({ payload: { n: 0 } });
    await client.told(1);
    await redis.stop();
    const before = client.positions.length;
    await until("it is kept alive meanwhile", () => client.positions.length >= before + 3);
    redis = await startRedis({ dir, appendonly: true, port: redis.port });
    for (let n = 1; n < 20; n += 1) await journal.write({ payload: { n } });
    await client.told(20);
    expect(numbers(client)).toEqual(upTo(20));
    expect(client.ended()).toBe(false);
  });

  test("a stream on which nothing happens is kept alive, and says how far it has come", async () => {
    const { bridge, journal } = await withJournal({ STREAM_HEARTBEAT_MS: "200" });
    const client = await stream(bridge, "?unit=nobody");
    const [entry] = await journal.write({});
    await until("two heartbeats", () => client.positions.length >= 3);
    await until("its place moves along", () => client.positions.at(-1) === entry?.id);
    expect(client.entries).toEqual([]);
  });

  test("payloads that are sealed in Redis are told in clear", async () => {
    const secret = Buffer.alloc(32, 7);
    const bridge = await startBridge({
      worker: false,
      functions: { PAYLOAD_KEYS: `k1:${secret.toString("base64")}` },
    });
    const sealer = createSealer([{ id: "k1", secret: Uint8Array.from(secret) }]);
    const journal = await ownJournal(bridge.prefix, { sealer });
    const client = await stream(bridge, "?last_event_id=0-0");
    const [entry] = await journal.write({ payload: { unitId: "M12", name: "a patient" } });
    expect(await client.told(1)).toMatchObject([{ payload: { name: "a patient" } }]);
    expect(await journal.redis.xrange(journal.keys.journal, "-", "+")).not.toContain("a patient");
    expect((await bridge.get("/events/history")).body).toMatchObject({
      events: [{ id: entry?.id, payload: { name: "a patient" } }],
    });
  });

  test("what is sealed with a key that is not there stops the stream there, and is told as unreadable elsewhere", async () => {
    const { bridge, journal } = await withJournal();
    const [first] = await journal.write({});
    const other = createSealer([{ id: "k2", secret: new Uint8Array(32) }]);
    const [second] = await (await ownJournal(bridge.prefix, { sealer: other })).write({});
    const client = await stream(bridge, "", { "Last-Event-ID": String(first?.id) });
    expect(client).toMatchObject({
      status: 409,
      problem: { code: "unreadable-payload", detail: expect.stringContaining('"k2"') },
    });
    const history = (await bridge.get("/events/history?order=oldest")).body;
    expect(history["events"]).toMatchObject([
      { id: first?.id, payload: { unitId: "M12" } },
      { id: second?.id, payload: null, wrong: [expect.stringContaining('"k2"')] },
    ]);
  });
});

describe("names and payloads that a CAD may send", () => {
  test("a name with line breaks makes no field or event of its own in the stream", async () => {
    const { bridge, journal } = await withJournal();
    const client = await stream(bridge, "?last_event_id=0-0");
    const event = "a\nid: 1-1\r\ndata: {}\r\rdata: x";
    await journal.write({ event, kind: "unknown" }, { payload: { text: "a\n\ndata: b\u2028\ud800" } });
    expect(await client.told(2)).toMatchObject([{ event }, { payload: { text: "a\n\ndata: b\u2028\ud800" } }]);
    expect(client.names[0]).not.toMatch(/[\r\n]/);
  });

  test("payloads as large as are kept come through, in pages that are bounded", async () => {
    const { bridge, journal } = await withJournal();
    const text = "\u00e9".repeat(900_000);
    for (let n = 0; n < 12; n += 1) await journal.write({ payload: { n, text } });
    const client = await stream(bridge, "?last_event_id=0-0");
    await client.told(12, 20_000);
    expect(numbers(client)).toEqual(upTo(12));
    const { body } = await bridge.get("/events/history?order=oldest&limit=500");
    const found = body["events"] as unknown[];
    expect(found.length).toBeGreaterThan(0);
    expect(found.length).toBeLessThan(12);
    expect(body["next"]).not.toBeNull();
  }, 40_000);
});

describe("the filters of GET /events", () => {
  const SENT = [
    { event: "unit:status:updated", keys: ["unit:M1", "incident:I1"], payload: { n: 0 } },
    { event: "unit:location:updated", keys: ["unit:M2"], payload: { n: 1 } },
    { event: "incident:new", keys: ["incident:I2"], payload: { n: 2 } },
    { event: "incident:status:updated", keys: ["incident:I1"], payload: { n: 3 } },
    { event: "metrics:updated", keys: ["metrics"], payload: { n: 4 } },
    { event: BRIDGE_EVENTS.gap, kind: "bridge", keys: ["other"], payload: { n: 5 } },
    { event: "the:end", keys: ["unit:M1", "unit:M2", "incident:I1", "incident:I2"], payload: { n: 6 } },
  ] as const;

  test.each([
    ["", [0, 1, 2, 3, 4, 5]],
    ["event=unit:status:updated", [0]],
    ["event=unit:*", [0, 1]],
    ["event=*:updated", [0, 1, 3, 4]],
    ["event=*:status:*", [0, 3]],
    ["event=incident:new&event=metrics:*", [2, 4]],
    // A gap may be about any unit or incident.
    ["unit=M1", [0, 5]],
    ["unit=M1&unit=M2", [0, 1, 5]],
    ["incident=I1", [0, 3, 5]],
    ["incident=I1&unit=M1", [0, 5]],
    ["incident=I1&event=incident:*", [3]],
    ["event=nothing", []],
  ])("%s: %j", async (query, expected) => {
    const { bridge, journal } = await withJournal();
    const end = query.includes("event=") ? "&event=the:end" : "";
    const client = await stream(bridge, `?last_event_id=0-0&${query}${end}`);
    await journal.write(...SENT);
    await client.told(expected.length + 1);
    expect(numbers(client)).toEqual([...expected, 6]);
  });
});

describe("the start of a stream", () => {
  test("the header goes before the query, and each goes on after the entry that it names", async () => {
    const { bridge, journal } = await withJournal();
    const [first, second] = await journal.write(...upTo(3).map((n) => ({ payload: { n } })));
    const byQuery = await stream(bridge, `?last_event_id=${first?.id}`);
    await byQuery.told(2);
    expect(numbers(byQuery)).toEqual([1, 2]);
    const byHeader = await stream(bridge, `?last_event_id=${first?.id}`, { "Last-Event-ID": String(second?.id) });
    await byHeader.told(1);
    expect(numbers(byHeader)).toEqual([2]);
  });

  test("if what followed may be gone, it is refused with the oldest entry that is there", async () => {
    const { bridge, journal } = await withJournal();
    const entries = await journal.write(...upTo(5).map((n) => ({ payload: { n } })));
    const [gone, , oldest, , newest] = entries.map((e) => e.id);
    await journal.trimTo(String(oldest));
    for (const id of [gone, "0-0", "1-1", "9999999999999-0"]) {
      const refused = await stream(bridge, "", { "Last-Event-ID": String(id) });
      expect(refused, id).toMatchObject({ status: 410, problem: { code: "gone", oldest } });
    }
    expect((await bridge.get(`/events/${oldest}`)).status).toBe(200);
    for (const [id, left] of [
      [oldest, [3, 4, 5]],
      [newest, [5]],
    ] as const) {
      const client = await stream(bridge, "", { "Last-Event-ID": String(id) });
      if (left.length === 3) await journal.write({ payload: { n: 5 } });
      await client.told(left.length);
      expect(numbers(client)).toEqual(left);
    }
  });

  test("a stream that comes to a gap while it runs ends, and is refused when it comes back", async () => {
    const { bridge, journal } = await withJournal();
    const client = await stream(bridge);
    await journal.write({ payload: { n: 0 } });
    await client.told(1);
    const [, next] = await journal.redis
      .multi()
      .del(journal.keys.journal)
      .xadd(journal.keys.journal, "*", "event", "x", "payload", "{}", "keys", "[]")
      .exec()
      .then((answers) => (answers ?? []).map(([, value]) => String(value)));
    await journal.redis.publish(journal.keys.channel, String(next));
    await until("it ended", () => client.ended());
    expect(numbers(client)).toEqual([0]);
    const back = await stream(bridge, "", { "Last-Event-ID": String(client.entries[0]?.id) });
    expect(back).toMatchObject({ status: 410, problem: { oldest: next } });
  });

  test.each(["x", "1", "1-", "-1", "1-1-1", "$", "1-1\u00e4", "99999999999999999-0"])("%s is no id", async (id) => {
    const { bridge } = await withJournal();
    const query = await stream(bridge, `?last_event_id=${encodeURIComponent(id)}`);
    expect(query).toMatchObject({
      status: 422,
      problem: { code: "invalid-query", errors: [{ pointer: "/last_event_id" }] },
    });
    const header = await stream(bridge, "", { "Last-Event-ID": id });
    expect(header).toMatchObject({ status: 400, problem: { code: "invalid-header" } });
  });

  test("wrong queries are refused with every wrong field", async () => {
    const { bridge } = await withJournal();
    const refused = await stream(bridge, "?event=&unit=&color=red&since=now");
    expect(refused.status).toBe(422);
    const errors = refused.problem["errors"] as { pointer: string }[];
    expect(errors.map((e) => e.pointer)).toEqual(expect.arrayContaining(["/event", "/unit", "/color", "/since"]));
  });
});

describe("authorization of a stream", () => {
  test("a crew may read neither the stream nor the journal", async () => {
    const { bridge } = await withJournal();
    for (const path of ["/events", "/events/history", "/events/1-1"]) {
      const crew = { Authorization: `Bearer ${tokens.crew}` };
      expect(await bridge.get(path, crew), path).toMatchObject({ status: 403, body: { required_role: "dispatcher" } });
      expect((await bridge.get(path, { Authorization: "" })).status, path).toBe(401);
    }
  });

  test("a token with units is told nothing of others", async () => {
    const { bridge, journal } = await withJournal();
    const token = await sign({ role: "dispatcher", units: ["M1"] }, "1h");
    const client = await openStream(bridge, token, "?last_event_id=0-0");
    const [, ...others] = await journal.write(
      { keys: ["unit:M1"], payload: { n: 0 } },
      { keys: ["unit:M2", "incident:I1"], payload: { n: 1 } },
      { kind: "malformed", keys: ["other"], payload: { n: 2, unitId: ["M2"] }, wrong: ["unitId"] },
      { kind: "unknown", keys: ["other"], payload: { n: 3, unit: "M2" } },
      { kind: "bridge", keys: ["other"], payload: { n: 4 } },
      { keys: ["incident:I1"], payload: { n: 5 } },
    );
    await client.told(3);
    expect(numbers(client)).toEqual([0, 4, 5]);
    const headers = { Authorization: `Bearer ${token}` };
    expect((await bridge.get("/events/history", headers)).body["events"]).toHaveLength(3);
    for (const { id } of others.slice(0, 3)) expect((await bridge.get(`/events/${id}`, headers)).status).toBe(404);
  });

  test("a stream ends when its token expires", async () => {
    const { bridge, journal } = await withJournal();
    const client = await openStream(bridge, await sign({ role: "dispatcher" }, "2s"));
    await journal.write({});
    await client.told(1);
    await until("it ended", () => client.ended());
    const back = await openStream(bridge, tokens.dispatcher, "", { "Last-Event-ID": String(client.lastId()) });
    expect(back.status).toBe(200);
  });

  test("beyond MAX_STREAMS further ones are refused, and one that left makes room", async () => {
    const { bridge, journal } = await withJournal({ MAX_STREAMS: "2", STREAM_WRITE_TIMEOUT_MS: "1000" });
    const [first] = await Promise.all([stream(bridge), stream(bridge)]);
    const refused = await stream(bridge);
    expect(refused).toMatchObject({ status: 503, problem: { code: "too-many-streams" } });
    expect(refused.headers.get("Retry-After")).toMatch(/^\d+$/);
    for (const bad of [{ "Last-Event-ID": "x" }, { "Last-Event-ID": "1-1" }]) await stream(bridge, "", bad);
    first?.leave();
    // At the edge nobody hears of a client that left: its place is free once it was silent for long.
    const room = async () => {
      await journal.write({});
      return (await stream(bridge)).status === 200;
    };
    await until("there is room", room, 30_000);
  }, 40_000);

  test("HEAD opens no stream", async () => {
    const { bridge } = await withJournal({ MAX_STREAMS: "1" });
    for (let i = 0; i < 3; i += 1) {
      const headers = { Authorization: `Bearer ${tokens.dispatcher}` };
      const answer = await fetch(`${bridge.url}/events`, { method: "HEAD", headers });
      expect(answer.status).toBe(200);
      expect(answer.headers.get("Content-Type")).toMatch(/^text\/event-stream/);
    }
    expect((await stream(bridge)).status).toBe(200);
  });
});

describe("GET /events/history", () => {
  interface History {
    events: { id: string; payload: { n: number } }[];
    next: string | null;
  }
  const page = async (bridge: Bridge, query: string) => {
    const { status, body } = await bridge.get(`/events/history?${query}`);
    expect(status, JSON.stringify(body)).toBe(200);
    return body as unknown as History;
  };
  async function all(bridge: Bridge, query: string): Promise<number[]> {
    const seen: number[] = [];
    let cursor = "";
    for (let pages = 0; pages < 100; pages += 1) {
      const { events: found, next } = await page(bridge, `${query}${cursor}`);
      seen.push(...found.map((e) => e.payload.n));
      if (next === null) return seen;
      cursor = `&cursor=${next}`;
    }
    throw new Error("there is no end to the pages");
  }

  test("pages through the journal in both directions, while more is written", async () => {
    const { bridge, journal } = await withJournal();
    await journal.write(...upTo(23).map((n) => ({ payload: { n } })));
    expect(await all(bridge, "limit=5")).toEqual(upTo(23).toReversed());
    const first = await page(bridge, "limit=5");
    await journal.write({ payload: { n: 23 } });
    const second = await page(bridge, `limit=5&cursor=${first.next}`);
    expect([...first.events, ...second.events].map((e) => e.payload.n)).toEqual(upTo(23).toReversed().slice(0, 10));
    expect(await all(bridge, "limit=5&order=oldest")).toEqual(upTo(24));
    expect((await page(bridge, "")).next).toBeNull();
  });

  test("a cursor may be the first or the last id that there is: it is answered like any other", async () => {
    const { bridge, journal } = await withJournal();
    await journal.write({ payload: { n: 0 } });
    expect(await page(bridge, "cursor=0-0")).toEqual({ events: [], next: null });
    const last = `${"9".repeat(16)}-${"9".repeat(16)}`;
    expect((await page(bridge, `cursor=${last}`)).events).toHaveLength(1);
    expect((await bridge.get(`/events/history?order=oldest&cursor=${last}`)).status).toBe(410);
    expect((await page(bridge, "order=oldest&cursor=0-0")).events).toHaveLength(1);
  });

  test("can be narrowed by event, unit, incident, kind, own echo and time", async () => {
    const { bridge, journal } = await withJournal();
    await journal.redis.hset(outboxKeys(bridge.prefix).record("a-command"), "kind", "units/status");
    await journal.write(
      { event: "unit:status:updated", keys: ["unit:M1", "incident:I1"], payload: { n: 0 }, own: "a-command" },
      { event: "incident:new", keys: ["incident:I2"], payload: { n: 1 } },
    );
    const between = Date.now();
    // Longer than the estimate of Redis's clock is off on a busy machine.
    await until("the clock goes on", () => Date.now() > between + 200);
    await journal.write(
      { event: "shift:changed", keys: ["other"], payload: { n: 2 }, kind: "unknown" },
      { event: "unit:status:updated", keys: ["unit:M1"], payload: { n: 3 }, kind: "malformed", wrong: ["x"] },
    );
    const since = encodeURIComponent(new Date(between + 100).toISOString());
    for (const [query, expected] of [
      ["event=unit:*", [0, 3]],
      ["unit=M1", [0, 3]],
      ["incident=I2", [1]],
      ["incident=I1&incident=I2", [0, 1]],
      ["kind=unknown&kind=malformed", [2, 3]],
      ["own=true", [0]],
      ["own=false&kind=event", [1]],
      [`since=${since}`, [2, 3]],
      [`until=${since}`, [0, 1]],
      [`until=${since}&since=${since}`, []],
    ] as const) {
      expect(await all(bridge, `order=oldest&${query}`), query).toEqual(expected);
      expect(await all(bridge, `order=newest&limit=1&${query}`), query).toEqual(expected.toReversed());
    }
  });

  test("looks at a bounded number of entries for one page, and the next goes on from there", async () => {
    const { bridge, journal } = await withJournal();
    for (let n = 0; n < 6000; n += 500) await journal.write(...upTo(500).map((i) => ({ payload: { n: n + i } })));
    await journal.write({ keys: ["unit:rare"], payload: { n: 6000 } });
    const first = await page(bridge, "order=oldest&unit=rare");
    expect(first.events).toEqual([]);
    expect(first.next).not.toBeNull();
    expect((await page(bridge, `order=oldest&unit=rare&cursor=${first.next}`)).events).toHaveLength(1);
  });

  test("refuses to go on where entries were removed, and tells the oldest", async () => {
    const { bridge, journal } = await withJournal();
    const entries = await journal.write(...upTo(5).map((n) => ({ payload: { n } })));
    const first = await page(bridge, "order=oldest&limit=1");
    await journal.trimTo(String(entries[3]?.id));
    const refused = await bridge.get(`/events/history?order=oldest&cursor=${first.next}`);
    expect(refused).toMatchObject({ status: 410, body: { code: "gone", oldest: entries[3]?.id } });
  });

  test("wrong queries are refused with every wrong field", async () => {
    const { bridge } = await withJournal();
    const answer = await bridge.get("/events/history?limit=0&cursor=x&kind=y&own=maybe&since=now&order=up&color=red");
    expect(answer).toMatchObject({ status: 422, body: { code: "invalid-query" } });
    const pointers = (answer.body["errors"] as { pointer: string }[]).map((e) => e.pointer);
    expect(pointers.toSorted()).toEqual(["/color", "/cursor", "/kind", "/limit", "/order", "/own", "/since"]);
  });
});

describe("GET /events/{id}", () => {
  test("tells one entry, and what each handler made of it", async () => {
    const bridge = await startBridge();
    const client = await stream(bridge, "?event=incident:new");
    bridge.cad.broadcast("incident:new", { incidentId: "I1", priority: 1 });
    const [entry] = await client.told(1);
    const answer = await until("both handlers have done it", async () => {
      const { body } = await bridge.get(`/events/${entry?.id}`);
      return (body["handled"] as unknown[]).length >= 2 && body;
    });
    expect(answer).toMatchObject({ id: entry?.id, event: "incident:new", payload: { incidentId: "I1" } });
    expect(answer["handled"]).toEqual(
      expect.arrayContaining(
        ["state", "high-priority"].map((handler) => ({
          handler,
          outcome: "done",
          duration_ms: expect.any(Number),
          tries: 1,
          error: null,
        })),
      ),
    );
  });

  test.each(["x", "1-1", "%2A", "0-0"])("%s is none", async (id) => {
    const { bridge } = await withJournal();
    expect(await bridge.get(`/events/${id}`)).toMatchObject({ status: 404, body: { code: "not-found" } });
  });
});

test("the journal's texts reach no log", async () => {
  const { bridge, journal } = await withJournal();
  const client = await stream(bridge, "?last_event_id=0-0");
  await journal.write({ payload: { name: "Jane Doe" } });
  await client.told(1);
  client.leave();
  if (inject("host") === "node")
    await until("the end is logged", () => bridge.logs.some((l) => l.message === "a stream ended"));
  expect(JSON.stringify(bridge.logs)).not.toContain("Jane");
});
