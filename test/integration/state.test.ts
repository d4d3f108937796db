import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { events } from "../../shared/events/table.ts";
import { ETIMES } from "../../shared/vocabulary/etimes.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { openStateWriter } from "../../shared/state/apply.ts";
import { nowMicros } from "../../shared/util/time.ts";
import { type Bridge, JWT_SECRET, startBridge, tokens } from "../support/bridge.ts";
import { ownJournal } from "../support/own-journal.ts";
import { until } from "../../tools/support/until.ts";

const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
const crew = { Authorization: `Bearer ${tokens.crew}` };

/** Asks until it is as it should be: the worker handles events a little after it got them. */
async function becomes(bridge: Bridge, path: string, expected: object) {
  let last: unknown;
  try {
    return await until(`${path} is as it should be`, async () => {
      const { body } = await bridge.get(path);
      last = body;
      const fits = (() => {
        try {
          expect(body).toMatchObject(expected);
          return true;
        } catch {
          return false;
        }
      })();
      return fits && body;
    });
  } catch {
    // The difference says more than that it took too long.
    expect(last).toMatchObject(expected);
    throw new Error("it came too late");
  }
}

/** The functions alone, with a state that the test writes. */
async function withState(functions?: Record<string, string>) {
  const bridge = await startBridge({ worker: false, ...(functions && { functions }) });
  const { redis, keys } = await ownJournal(bridge.prefix);
  const write = openStateWriter(redis, keys, createSealer([]));
  const unit = (id: string, status: string) =>
    write({ about: `unit:${id}`, aspect: "status", value: status }, nowMicros());
  return { bridge, redis, keys, write, unit };
}

interface List {
  units?: { unit_id: string }[];
  incidents?: { incident_id: string }[];
  next: string | null;
}
const list = async (bridge: Bridge, path: string) => {
  const { status, body } = await bridge.get(path);
  expect(status).toBe(200);
  return body as unknown as List;
};

async function all(bridge: Bridge, path: "/units" | "/incidents", query = ""): Promise<string[]> {
  const seen: string[] = [];
  let cursor = "";
  for (let pages = 0; pages < 100; pages += 1) {
    const { units = [], incidents = [], next } = await list(bridge, `${path}?${query}${cursor}`);
    seen.push(...units.map((u) => u.unit_id), ...incidents.map((i) => i.incident_id));
    if (next === null) return seen;
    cursor = `&cursor=${next}`;
  }
  throw new Error("there is no end to the pages");
}

/** What each event of the table makes known, by its own examples. */
const MAKES_KNOWN: Record<string, [path: string, known: object][]> = {
  "unit:location:updated": [
    [
      "/units/M12",
      {
        location: { value: { type: "Point", coordinates: [-122.4076, 37.7841] } },
        heading: { value: 92.5 },
        speed: { value: 15 },
      },
    ],
  ],
  "unit:status:updated": [
    ["/units/M12", { status: { value: "enroute" }, incident: { value: "INC-2026-004711" } }],
    ["/incidents/INC-2026-004711", { units: [{ unit_id: "M12", status: { value: "enroute" } }] }],
  ],
  "incident:status:updated": [["/incidents/INC-2026-004711", { status: { value: "TRANSPORTING" } }]],
  "incident:timestamp:updated": [
    [
      "/incidents/INC-2026-004711",
      {
        timestamps: [
          {
            column: "time_at_facility",
            etimes: "eTimes.06",
            etimes_name: ETIMES.time_at_facility.name,
            timestamp: "2026-01-31T22:05:00Z",
            location: null,
            as_of: expect.any(String),
            age_seconds: expect.any(Number),
          },
        ],
        warnings: [],
      },
    ],
  ],
  "incident:new": [["/incidents/INC-2026-004711", { details: { value: { type: "Chest Pain", priority: 1 } } }]],
  "assignment:received": [
    ["/units/M12", { assignment: { value: "INC-2026-004711", as_of: "2026-01-31T22:00:12.000000Z" } }],
    [
      "/incidents/INC-2026-004711",
      {
        units: [{ unit_id: "M12", status: null, assigned: { value: true } }],
        assignments: [{ unit_id: "M12", as_of: "2026-01-31T22:00:12.000000Z", age_seconds: expect.any(Number) }],
      },
    ],
  ],
  "transport:completed": [
    [
      "/incidents/INC-2026-004711",
      { completion: { value: { epcr_id: "EPCR-90210", transport_type: "ALS", destination: null } } },
    ],
  ],
  "metrics:updated": [],
};

describe("the state of units and incidents", () => {
  test.each(events.map((event) => [event.name, event] as const))("%s makes known what it says", async (name, event) => {
    const known = MAKES_KNOWN[name];
    if (!known) throw new Error(`this test does not know what ${name} makes known`);
    const bridge = await startBridge();
    bridge.cad.broadcast(name, event.examples[0]);
    for (const [path, expected] of known) await becomes(bridge, path, expected);
    if (known.length > 0) return;
    await until("it was handled", async () => {
      const { body } = await bridge.get(`/events/history?event=${name}`);
      const [entry] = body["events"] as { id: string }[];
      return entry && ((await bridge.get(`/events/${entry.id}`)).body["handled"] as unknown[]).length > 0;
    });
    expect([...(await all(bridge, "/units")), ...(await all(bridge, "/incidents"))]).toEqual([]);
  });

  test("an incident that is announced under id is known by it", async () => {
    const bridge = await startBridge();
    bridge.cad.broadcast("incident:new", { id: 4712, type: "Fall" });
    await becomes(bridge, "/incidents/4712", { details: { value: { type: "Fall", incidentId: "4712" } } });
  });

  test("all of them together, each value as old as it is", async () => {
    const bridge = await startBridge();
    for (const event of events) bridge.cad.broadcast(event.name, { ...event.examples[0], occurredAt: minutesAgo(2) });
    bridge.cad.broadcast("unit:status:updated", { unitId: "M12", status: "onscene", incidentId: "INC-2026-004711" });
    await becomes(bridge, "/units/M12", { status: { value: "onscene" } });
    const { body: unit } = await bridge.get("/units/M12");
    expect(unit).toMatchObject({
      unit_id: "M12",
      timestamp: expect.stringMatching(/Z$/),
      incident: { value: "INC-2026-004711" },
      assignment: { value: "INC-2026-004711" },
    });
    const ages = (name: string) => (unit[name] as { age_seconds: number }).age_seconds;
    expect(ages("location")).toBeGreaterThanOrEqual(120);
    expect(ages("location")).toBeLessThan(180);
    expect(ages("status")).toBeLessThan(60);
    const { body: incident } = await bridge.get("/incidents/INC-2026-004711");
    expect(incident).toMatchObject({
      status: { value: "TRANSPORTING" },
      units: [{ unit_id: "M12", status: { value: "onscene" }, assigned: { value: true } }],
      completion: { value: { epcr_id: "EPCR-90210" } },
    });
  });

  test("an older event that comes later does not overwrite a newer one, and one as old does", async () => {
    const bridge = await startBridge();
    const say = (status: string, occurredAt: string) =>
      bridge.cad.broadcast("unit:status:updated", { unitId: "M12", status, occurredAt });
    const [before, at] = [minutesAgo(5), minutesAgo(1)];
    say("onscene", at);
    say("enroute", before);
    bridge.cad.broadcast("unit:status:updated", { unitId: "M13", status: "the end" });
    await becomes(bridge, "/units/M13", { status: { value: "the end" } });
    await becomes(bridge, "/units/M12", { status: { value: "onscene", as_of: at.replace("Z", "000Z") } });
    say("transport", at);
    await becomes(bridge, "/units/M12", { status: { value: "transport" } });
  });

  test("times that cannot be right are warned of, with the pair that is out of order", async () => {
    const bridge = await startBridge();
    const time = (field: string, timestamp: string) =>
      bridge.cad.broadcast("incident:timestamp:updated", { incidentId: "I1", field, timestamp });
    time("time_at_facility", minutesAgo(10));
    time("time_en_route", minutesAgo(5));
    time("time_completed", minutesAgo(-120));
    time("time_of_ours", "noon");
    const body = await becomes(bridge, "/incidents/I1", {
      timestamps: ["time_en_route", "time_at_facility", "time_completed", "time_of_ours"].map((column) => ({ column })),
    });
    expect(body["warnings"]).toEqual([
      { code: "unreadable", columns: ["time_of_ours"], message: expect.any(String) },
      { code: "future", columns: ["time_completed"], message: expect.any(String) },
      { code: "order", columns: ["time_en_route", "time_at_facility"], message: expect.any(String) },
    ]);
  });

  test("sealed state is returned in clear, and state that cannot be opened is marked as unreadable", async () => {
    const secret = Buffer.alloc(32, 9);
    const { bridge, redis, keys } = await withState({ PAYLOAD_KEYS: `k1:${secret.toString("base64")}` });
    const details = (id: string, bytes: Buffer) =>
      openStateWriter(
        redis,
        keys,
        createSealer([{ id, secret: Uint8Array.from(bytes) }]),
      )({ about: `incident:${id}`, aspect: "details", value: { patient: "Jane Doe" } }, nowMicros());
    await details("k1", secret);
    await details("k2", secret);
    expect(JSON.stringify(await redis.hgetall(keys.state("incident:k1")))).not.toContain("Jane");
    expect((await bridge.get("/incidents/k1")).body["details"]).toMatchObject({ value: { patient: "Jane Doe" } });
    expect((await bridge.get("/incidents/k2")).body["details"]).toMatchObject({
      value: null,
      unreadable: expect.stringContaining('"k2"'),
    });
    expect((await bridge.get("/incidents")).body["incidents"]).toHaveLength(2);
  });

  test("what somebody else wrote into Redis stops no list, and is not in the log", async () => {
    const { bridge, redis, keys, unit } = await withState();
    for (const id of ["M1", "M2"]) await unit(id, "enroute");
    await redis.hset(keys.state("unit:M1"), { status: "canary of a patient", location: '{"canary', "@location": "1" });
    const unreadable = { value: null, unreadable: expect.stringContaining("in a form that the bridge does not write") };
    expect((await bridge.get("/units/M1")).body).toMatchObject({ status: unreadable, location: unreadable });
    expect(await all(bridge, "/units")).toEqual(["M1", "M2"]);
    expect(await all(bridge, "/units", "status=enroute")).toEqual(["M2"]);
    expect(JSON.stringify(bridge.logs)).not.toContain("canary");
  });

  test("ids with any characters are listed and can be used in paths", async () => {
    const { bridge, unit } = await withState();
    const ids = ["M/1", "M 2", "M%3", "@status", "M@", "Ü1", "a:b", "__proto__", "../x"];
    for (const id of ids) await unit(id, "enroute");
    expect((await all(bridge, "/units", "limit=2")).toSorted()).toEqual(ids.toSorted());
    for (const id of ids.filter((one) => one !== "../x")) {
      const { status, body } = await bridge.get(`/units/${encodeURIComponent(id)}`);
      expect([status, body["unit_id"]], id).toEqual([200, id]);
    }
  });

  test("units of any name on one incident do not mix with one another", async () => {
    const { bridge, write } = await withState();
    for (const id of ["M1", "M1@", "@M1"]) {
      await write({ about: "incident:I1", aspect: `unit:${id}`, value: { status: `of ${id}` } }, nowMicros());
    }
    expect((await bridge.get("/incidents/I1")).body["units"]).toMatchObject(
      ["@M1", "M1", "M1@"].map((id) => ({ unit_id: id, status: { value: `of ${id}` }, assigned: null })),
    );
  });
});

describe("GET /units and GET /incidents", () => {
  test("are paged by id, and skip and repeat nothing while units come, change and go", async () => {
    const { bridge, redis, keys, unit } = await withState();
    const ids = Array.from({ length: 25 }, (_, i) => `M${String(i).padStart(2, "0")}`);
    for (const id of ids) await unit(id, "enroute");
    const seen: string[] = [];
    let cursor = "";
    for (let pages = 0; pages < 20; pages += 1) {
      const { units = [], next } = await list(bridge, `/units?limit=4${cursor}`);
      seen.push(...units.map((u) => u.unit_id));
      // One that was told changes, one comes before what was told, one after, and one goes.
      await unit(String(seen.at(-1)), "onscene");
      await unit(`A${pages}`, "enroute");
      if (pages === 2) await unit("M99", "enroute");
      if (pages === 3) await redis.del(keys.state("unit:M20"));
      if (next === null) break;
      cursor = `&cursor=${next}`;
    }
    expect(seen).toEqual([...ids.filter((id) => id !== "M20"), "M99"]);
  });

  test("can be narrowed by status, in either case", async () => {
    const { bridge, unit, write } = await withState();
    for (let i = 0; i < 12; i += 1) await unit(`M${10 + i}`, i % 3 === 0 ? "onscene" : "enroute");
    expect(await all(bridge, "/units", "status=OnScene&limit=2")).toEqual(["M10", "M13", "M16", "M19"]);
    expect(await all(bridge, "/units", "status=nothing")).toEqual([]);
    await write({ about: "incident:I1", aspect: "status", value: "TRANSPORTING" }, nowMicros());
    await write({ about: "incident:I2", aspect: "details", value: {} }, nowMicros());
    expect(await all(bridge, "/incidents", "status=transporting")).toEqual(["I1"]);
    expect(await all(bridge, "/incidents")).toEqual(["I1", "I2"]);
  });

  test("one of which nothing is kept any more leaves them with the words of others", async () => {
    const { bridge, redis, keys, unit } = await withState();
    for (const id of ["M1", "M2", "M3"]) await unit(id, "enroute");
    await redis.del(keys.state("unit:M1"));
    expect(await all(bridge, "/units")).toEqual(["M2", "M3"]);
    expect((await bridge.get("/units/M1")).status).toBe(404);
    await until("it left the list in Redis", async () => {
      await unit("M2", "onscene");
      return (await redis.zscore(keys.all("unit"), "M1")) === null;
    });
    expect(await redis.zcard(keys.all("unit"))).toBe(2);
  });

  test("refuse wrong queries with every wrong field", async () => {
    const { bridge } = await withState();
    for (const path of ["/units", "/incidents"]) {
      const answer = await bridge.get(`${path}?limit=0&cursor=%20&status=&color=red`);
      expect(answer).toMatchObject({ status: 422, body: { code: "invalid-query" } });
      const pointers = (answer.body["errors"] as { pointer: string }[]).map((e) => e.pointer);
      expect(pointers.toSorted()).toEqual(["/color", "/cursor", "/limit", "/status"]);
    }
  });
});

describe("authorization of the state", () => {
  test("a crew may see one unit or incident, and no list", async () => {
    const { bridge, unit, write } = await withState();
    await unit("M1", "enroute");
    await write({ about: "incident:I1", aspect: "status", value: "pending" }, nowMicros());
    for (const path of ["/units/M1", "/incidents/I1"]) expect((await bridge.get(path, crew)).status).toBe(200);
    for (const path of ["/units", "/incidents"])
      expect(await bridge.get(path, crew)).toMatchObject({ status: 403, body: { required_role: "dispatcher" } });
    for (const path of ["/units/none", "/incidents/none"])
      expect(await bridge.get(path, crew)).toMatchObject({ status: 404, body: { code: "not-found" } });
  });

  test("a token with units sees those alone, and the incidents that they are on", async () => {
    const { bridge, unit, write } = await withState();
    const token = await new SignJWT({ role: "dispatcher", units: ["M1"] })
      .setProtectedHeader({ alg: "HS256" })
      .setSubject("u")
      .setExpirationTime("1h")
      .sign(new TextEncoder().encode(JWT_SECRET));
    const mine = { Authorization: `Bearer ${token}` };
    for (const id of ["M1", "M2"]) await unit(id, "enroute");
    await write({ about: "incident:I1", aspect: "unit:M1", value: { status: "enroute" } }, nowMicros());
    await write({ about: "incident:I2", aspect: "assigned:M1", value: true }, nowMicros());
    await write({ about: "incident:I3", aspect: "unit:M2", value: { status: "enroute" } }, nowMicros());
    const status = async (path: string) => (await bridge.get(path, mine)).status;
    expect([await status("/units/M1"), await status("/units/M2")]).toEqual([200, 404]);
    expect([await status("/incidents/I1"), await status("/incidents/I2"), await status("/incidents/I3")]).toEqual([
      200, 200, 404,
    ]);
    expect((await bridge.get("/units", mine)).body["units"]).toMatchObject([{ unit_id: "M1" }]);
    expect((await bridge.get("/incidents", mine)).body["incidents"]).toMatchObject([
      { incident_id: "I1" },
      { incident_id: "I2" },
    ]);
    // Not even by where a page ends: it would tell that there is another with this status, and which.
    for (const path of ["/units?status=enroute&limit=1", "/incidents?limit=2"])
      expect((await bridge.get(path, mine)).body, path).toMatchObject({ next: null });
    await unit("M0", "enroute");
    for (let n = 0; n < 250; n += 1) await unit(`N${n}`, "enroute");
    const { body } = await bridge.get("/units?limit=1", mine);
    expect(body).toMatchObject({ units: [{ unit_id: "M1" }], next: Buffer.from("M1").toString("base64url") });
  });
});
