import { spawn } from "node:child_process";
import { connect as connectTcp } from "node:net";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { type Cad, type CadOptions, startCad } from "../simulator/cad.ts";
import { CHARACTERS } from "../simulator/characters.ts";
import { Ledger } from "../simulator/ledger.ts";
import { openProbe, type Probe, type ProbeOptions } from "../simulator/probe.ts";
import { until } from "../support/until.ts";

const TOKEN = "a-token-for-tests";
const UNIT = "0b5c1f0e-6a3c-4d7e-9a51-2f1c0d9e8b7a";
const INCIDENT = "7d9a2c44-1b0f-4e6d-8c3a-5e4f3d2c1b0a";
const AT_ONCE = { min: 0, max: 0 };

const opened: { stop?(): Promise<void>; close?(): void }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).toReversed()) {
    one.close?.();
    await one.stop?.();
  }
});

async function start(options: Partial<CadOptions> = {}): Promise<Cad> {
  const cad = await startCad({ token: TOKEN, ...options });
  opened.push(cad);
  return cad;
}

function open(cad: Cad, options: ProbeOptions = { token: TOKEN }): Probe {
  const probe = openProbe(cad.url, options);
  opened.push(probe);
  return probe;
}

async function connect(cad: Cad, options?: ProbeOptions): Promise<Probe> {
  const probe = open(cad, options);
  await until("connected", () => probe.socket.connected);
  return probe;
}

/** The nth command: what the bridge adds to every object payload. */
const context = (n: number, commandId = `command-${n}`) => ({
  commandId,
  userId: "dispatcher-7",
  role: "dispatcher",
  issuedAt: `2026-01-31T22:05:00.${String(n).padStart(6, "0")}Z`,
});
const status = (n: number, more: object = {}) => ({ unitId: "E39", status: `S${n}`, context: context(n), ...more });

const heardStatuses = (probe: Probe) =>
  probe.heard("unit:status:updated").map((payload) => (payload as { status: string }).status);

/** With handlers that finish at once and in order, everything sent before is through once this echo is back. */
async function settle(probe: Probe): Promise<void> {
  const marker = `marker-${Math.random()}`;
  probe.socket.emit("unit:status", { unitId: "marker", status: marker });
  await until("the marker's echo", () => heardStatuses(probe).includes(marker));
}
const withoutMarkers = (probe: Probe) => heardStatuses(probe).filter((text) => !text.startsWith("marker-"));

const assignment = {
  unitId: "E39",
  incident: { incidentId: INCIDENT, type: "Fall", address: "1 Main St", priority: 1, details: null, location: null },
  timestamp: "2026-01-31T22:05:00.000Z",
  extra: 1,
  context: context(1),
};
const COMMANDS: { event: string; payload: object; echo: string; legacy: object | null }[] = [
  {
    event: "unit:location",
    payload: {
      unitId: "E39",
      location: { type: "Point", coordinates: [-122.4, 37.7] },
      heading: 9,
      speed: 5,
      extra: 1,
    },
    echo: "unit:location:updated",
    legacy: { unitId: "E39", location: { type: "Point", coordinates: [-122.4, 37.7] }, heading: 9, speed: 5 },
  },
  {
    event: "unit:status",
    payload: { unitId: "E39", status: "enroute", incidentId: INCIDENT, extra: 1, context: context(1) },
    echo: "unit:status:updated",
    legacy: { unitId: "E39", status: "enroute", incidentId: INCIDENT },
  },
  {
    event: "incident:status",
    payload: { incidentId: INCIDENT, status: "COMPLETED", userId: "dispatcher-7", context: context(1) },
    echo: "incident:status:updated",
    legacy: { incidentId: INCIDENT, status: "COMPLETED" },
  },
  {
    event: "incident:timestamp",
    payload: {
      incidentId: INCIDENT,
      field: "time_en_route",
      timestamp: "2026-01-31T22:05:00Z",
      location: null,
      source: "auto",
      context: context(1),
    },
    echo: "incident:timestamp:updated",
    legacy: { incidentId: INCIDENT, field: "time_en_route", timestamp: "2026-01-31T22:05:00Z", location: null },
  },
  {
    event: "incident:created",
    payload: { incidentId: INCIDENT, type: "Fall", extra: { deep: [1] }, context: context(1) },
    echo: "incident:new",
    legacy: { incidentId: INCIDENT, type: "Fall", extra: { deep: [1] }, context: context(1) },
  },
  { event: "assignment:sent", payload: assignment, echo: "assignment:received", legacy: assignment },
  {
    event: "transport:completed",
    payload: { incidentId: INCIDENT, epcrId: "EPCR-1", billingData: null, timestamp: "2026-01-31T22:05:00Z" },
    echo: "transport:completed",
    legacy: null,
  },
  {
    event: "metrics:updated",
    payload: { metrics: { available: 1 }, timestamp: "2026-01-31T22:05:00Z" },
    echo: "metrics:updated",
    legacy: null,
  },
];

describe.each(CHARACTERS)("connecting to a %s CAD", (character) => {
  it("accepts the right token, answers pings and announces the contract's heartbeat", async () => {
    const cad = await start({ character, pingInterval: 40, pingTimeout: 200 });
    const probe = await connect(cad);
    let pings = 0;
    probe.socket.io.on("ping", () => pings++);
    await until("pings", () => pings >= 3);
    expect(probe.disconnects).toEqual([]);

    const usual = await start({ character });
    const handshake = await (await fetch(`${usual.url}/socket.io/?EIO=4&transport=polling`)).text();
    expect(JSON.parse(handshake.slice(1))).toMatchObject({
      pingInterval: 25_000,
      pingTimeout: 20_000,
      maxPayload: 1_000_000,
    });
  });

  it("refuses a wrong token with its words, after which the client no longer tries by itself", async () => {
    const probe = open(await start({ character }), { token: "wrong" });
    await until("refused", () => probe.refusals.length > 0);
    expect(probe.refusals).toEqual(["Authentication failed"]);
    expect(probe.socket.active).toBe(false);
  });

  it("accepts a client without a token, with full rights", async () => {
    const cad = await start({ character });
    const probe = await connect(cad, {});
    await settle(probe);
    expect(cad.ledger.summary().byEvent).toEqual({ "unit:status": 1 });
  });

  it.each([
    ["the right token", { token: TOKEN }, { success: true, source: "fastapi" }],
    ["a wrong token", { token: "wrong" }, { success: false, error: expect.any(String) }],
    ["no token", {}, { success: false, error: expect.any(String) }],
  ])("answers fastapi:authenticate with %s and stays connected", async (_name, payload, answer) => {
    const probe = await connect(await start({ character }));
    probe.socket.emit("fastapi:authenticate", payload);
    await until("authenticated", () => probe.heard("authenticated").length > 0);
    expect(probe.heard("authenticated")).toEqual([answer]);
    await settle(probe);
    expect(probe.disconnects).toEqual([]);
  });

  it("keeps no token in its ledger", async () => {
    const cad = await start({ character });
    const probe = await connect(cad);
    probe.socket.emit("fastapi:authenticate", { token: TOKEN });
    await until("authenticated", () => probe.heard("authenticated").length > 0);
    expect(JSON.stringify(cad.ledger.entries())).not.toContain(TOKEN);
  });

  it("drops the connection for a payload of over 1 MB", async () => {
    const cad = await start({ character });
    const probe = await connect(cad);
    probe.socket.emit("unit:status", { unitId: "E39", status: "x".repeat(1_000_001) });
    await until("dropped", () => probe.disconnects.length > 0);
    expect(probe.disconnects).toEqual(["transport close"]);
    expect(cad.ledger.summary().received).toBe(0);
  });

  it("answers the connection to an unknown namespace in order, which a fence relies on", async () => {
    const cad = await start({ character });
    const probe = await connect(cad);
    const fence = probe.socket.io.socket("/no-such-namespace");
    const received = new Promise<number>((resolve) => {
      fence.once("connect_error", () => resolve(cad.ledger.summary().received));
    });
    for (let n = 1; n <= 100; n++) probe.socket.emit("unit:status", status(n));
    fence.connect();
    expect(await received).toBe(100);
    fence.disconnect();
  });
});

describe("what a legacy CAD does with an event", () => {
  it.each(COMMANDS)("$event: broadcasts exactly the contract's $echo, or nothing", async (row) => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const [sender, other] = [await connect(cad), await connect(cad)];
    for (const probe of [sender, other]) {
      probe.socket.emit("join:unit", "E39");
      await settle(probe);
    }
    sender.socket.emit(row.event, row.payload);
    await settle(sender);
    await settle(other);
    for (const probe of [sender, other]) {
      const heard = probe.heard(row.echo).filter((payload) => (payload as { unitId?: string }).unitId !== "marker");
      expect(heard).toEqual(row.legacy === null ? [] : [row.legacy]);
    }
    const [entry] = cad.ledger
      .entries()
      .filter(
        ({ event, payload }) =>
          event === row.event && payload !== null && (payload as { unitId?: string }).unitId !== "marker",
      );
    expect(entry).toMatchObject({ payload: row.payload, outcome: row.legacy === null ? "unhandled" : "applied" });
  });

  it("never acks", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad);
    const acks: unknown[] = [];
    for (const { event, payload } of COMMANDS) probe.socket.emit(event, payload, (ack: unknown) => acks.push(ack));
    probe.socket.emit("join:unit", "E39", (ack: unknown) => acks.push(ack));
    await settle(probe);
    expect(acks).toEqual([]);
    expect(cad.ledger.summary().received).toBe(COMMANDS.length + 2);
  });

  it("is not idempotent: the same incident:timestamp three times is applied three times", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad);
    const same = {
      incidentId: INCIDENT,
      field: "time_en_route",
      timestamp: "2026-01-31T22:05:00Z",
      context: context(1),
    };
    for (let n = 0; n < 3; n++) probe.socket.emit("incident:timestamp", same);
    await until("echoes", () => probe.heard("incident:timestamp:updated").length === 3);
    expect(cad.ledger.summary()).toMatchObject({ commands: 1, duplicates: 2 });
    expect(cad.ledger.entries().map(({ delivery, first }) => [delivery, first])).toEqual([
      [1, true],
      [2, false],
      [3, false],
    ]);
  });

  it("sends assignment:received only to the unit's room, until it is left", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const [inside, outside] = [await connect(cad), await connect(cad)];
    inside.socket.emit("join:unit", "E39");
    inside.socket.emit("join:incident", "E39");
    inside.socket.emit("assignment:sent", assignment);
    await settle(inside);
    inside.socket.emit("leave:unit", "E39");
    inside.socket.emit("assignment:sent", assignment);
    await settle(inside);
    await settle(outside);
    expect(inside.heard("assignment:received")).toHaveLength(1);
    expect(outside.heard("assignment:received")).toHaveLength(0);
  });

  it("has no rooms left after a reconnect", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad);
    probe.socket.emit("join:unit", "E39");
    await settle(probe);
    expect(cad.dropConnections()).toBe(1);
    await until("reconnected", () => probe.disconnects.length === 1 && probe.socket.connected);
    expect(probe.socket.recovered).toBeFalsy();
    probe.socket.emit("assignment:sent", assignment);
    await settle(probe);
    expect(probe.heard("assignment:received")).toEqual([]);
  });

  it("fails silently on a payload that it cannot read, and passes on what it does not look into", async () => {
    const log: string[] = [];
    const cad = await start({ switches: { delayMs: AT_ONCE }, log: (message) => log.push(message) });
    const probe = await connect(cad);
    for (const event of ["unit:location", "unit:status", "incident:status", "incident:timestamp"])
      for (const payload of [null, "text", 7]) probe.socket.emit(event, payload);
    probe.socket.emit("incident:created", null);
    await settle(probe);
    expect(log).toHaveLength(12);
    expect(withoutMarkers(probe)).toEqual([]);
    expect(probe.heard("incident:new")).toEqual([null]);
    expect(probe.disconnects).toEqual([]);
  });

  it.each(["fastapi:authenticate", "assignment:sent"])(
    "crashes on %s with null, until it is restarted",
    async (event) => {
      const reasons: string[] = [];
      const cad = await start({ onCrash: (reason) => reasons.push(reason) });
      const probe = await connect(cad);
      probe.socket.emit(event, null);
      await until("crashed", () => cad.crashed);
      await until("disconnected", () => probe.disconnects.length > 0);
      await until("refused", () => probe.refusals.length > 0);
      expect(reasons).toEqual([`${event} with a null payload`]);
      expect(cad.ledger.entries()[0]).toMatchObject({ event, outcome: "crashed" });
      await cad.restart();
      expect(cad.crashed).toBe(false);
      await until("reconnected", () => probe.socket.connected);
    },
  );
});

describe("what a modern CAD does with an event", () => {
  it.each(COMMANDS)("$event: acks it and broadcasts $echo with every extra key", async (row) => {
    const cad = await start({ character: "modern" });
    const [sender, other] = [await connect(cad), await connect(cad)];
    for (const probe of [sender, other])
      expect(await probe.socket.emitWithAck("join:unit", "E39")).toEqual({ success: true });
    expect(await sender.socket.timeout(5000).emitWithAck(row.event, row.payload)).toEqual({ success: true });
    for (const probe of [sender, other]) {
      await until("the echo", () => probe.heard(row.echo).length > 0);
      const marks = { eventId: expect.any(String), occurredAt: expect.any(String) };
      expect(probe.heard(row.echo)).toEqual([{ ...row.payload, ...marks }]);
    }
  });

  it("handles a command id once, even over a restart, and acks its repeats", async () => {
    const cad = await start({ character: "modern", switches: { delayMs: { min: 20, max: 20 } } });
    const probe = await connect(cad);
    const acks = await Promise.all([1, 1, 2].map((n) => probe.socket.emitWithAck("unit:status", status(n))));
    await cad.restart();
    await until("reconnected", () => probe.disconnects.length === 1 && probe.socket.connected);
    acks.push(await probe.socket.emitWithAck("unit:status", status(1)));
    expect(acks).toEqual(Array.from({ length: 4 }, () => ({ success: true })));
    expect(heardStatuses(probe).toSorted()).toEqual(["S1", "S2"]);
    expect(cad.ledger.summary()).toMatchObject({ received: 4, commands: 2, duplicates: 2, lateRepeats: 1 });
    expect(cad.ledger.entries().map(({ outcome }) => outcome)).toEqual(["applied", "repeat", "applied", "repeat"]);
  });

  it("handles a command that it refused when it comes again", async () => {
    const cad = await start({ character: "modern", switches: { refuse: { next: 1 } } });
    const probe = await connect(cad);
    const acks = [];
    for (let n = 0; n < 2; n++) acks.push(await probe.socket.emitWithAck("unit:status", status(1)));
    expect(acks).toEqual([{ success: false, error: expect.any(String), retryable: true }, { success: true }]);
    expect(cad.ledger.entries().map(({ outcome }) => outcome)).toEqual(["refused", "applied"]);
  });

  it("nacks a payload that is no object, and survives null", async () => {
    const probe = await connect(await start({ character: "modern" }));
    for (const event of ["unit:status", "assignment:sent", "fastapi:authenticate"])
      expect(await probe.socket.emitWithAck(event, null)).toEqual({ success: false, error: expect.any(String) });
    expect(probe.disconnects).toEqual([]);
  });

  it("recovers rooms and missed events after a short gap, but not past a refused token", async () => {
    const cad = await start({ character: "modern" });
    const probe = await connect(cad);
    await probe.socket.emitWithAck("join:unit", "E39");
    await probe.socket.emitWithAck("unit:status", status(2));
    await until("an offset to recover from", () => heardStatuses(probe).length === 1);
    cad.dropConnections();
    await until("gone", () => cad.connections === 0);
    cad.broadcast("unit:status:updated", { unitId: "E39", status: "missed" });
    await until("reconnected", () => probe.disconnects.length === 1 && probe.socket.connected);
    expect(probe.socket.recovered).toBe(true);
    await until("what was missed", () => heardStatuses(probe).includes("missed"));
    await probe.socket.emitWithAck("assignment:sent", assignment);
    await until("the room's event", () => probe.heard("assignment:received").length === 1);
    cad.switches.refuseToken = true;
    cad.dropConnections();
    await until("refused", () => probe.refusals.includes("Authentication failed"));
  });
});

/** The order in which the echoes of eight commands come back. */
async function orderOfEight(cad: Cad): Promise<string> {
  const probe = await connect(cad);
  for (let n = 1; n <= 8; n++) probe.socket.emit("unit:status", status(n));
  await until("every echo", () => heardStatuses(probe).length === 8);
  return heardStatuses(probe).join();
}

describe("order", () => {
  it("is lost on a legacy CAD by a client that does not wait", async () => {
    const cad = await start();
    const probe = await connect(cad);
    for (let n = 1; n <= 500; n++) probe.socket.emit("unit:status", status(n));
    await until("every echo", () => heardStatuses(probe).length === 500);
    const { violations, appliedViolations, commands } = cad.ledger.summary();
    expect({ violations, commands }).toEqual({ violations: 0, commands: 500 });
    expect(appliedViolations).toBeGreaterThan(50);
    expect(cad.ledger.appliedViolations()).toHaveLength(Math.min(100, appliedViolations));
  });

  it("is kept on a legacy CAD by a client that waits for each echo", async () => {
    const cad = await start();
    const probe = await connect(cad);
    for (let n = 1; n <= 100; n++) {
      probe.socket.emit("unit:status", status(n));
      await until("the echo", () => heardStatuses(probe).at(-1) === `S${n}`);
    }
    expect(cad.ledger.summary()).toMatchObject({ commands: 100, violations: 0, appliedViolations: 0, unmarked: 0 });
  });

  it("is lost in the same way with the same seed, and in another with another", async () => {
    const [first, again, other] = await Promise.all(
      [7, 7, 8].map((seed) => start({ seed, switches: { delayMs: { min: 0, max: 400 } } }).then(orderOfEight)),
    );
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });
});

/** Enters commands by number, in this order; each is about unit E39 and, if given, an incident. */
const enter = (ledger: Ledger, numbers: number[], more: object = {}) =>
  numbers.map((n) => ledger.record({ connection: 1, event: "unit:status", payload: status(n, more) }));

describe("the ledger", () => {
  it("finds a first delivery out of order, and names both commands", () => {
    const ledger = new Ledger();
    enter(ledger, [1, 3, 2, 4]);
    expect(ledger.summary()).toMatchObject({ received: 4, commands: 4, violations: 1, lateRepeats: 0 });
    expect(ledger.violations()).toEqual([
      {
        key: "unit:E39",
        command: { commandId: "command-2", issuedAt: context(2).issuedAt },
        after: { commandId: "command-3", issuedAt: context(3).issuedAt },
      },
    ]);
  });

  it("finds a late repeat, and lets a repeat pass that nothing has overtaken", () => {
    const ledger = new Ledger();
    enter(ledger, [1, 1, 2, 1, 2]);
    expect(ledger.summary()).toMatchObject({ commands: 2, duplicates: 3, violations: 0, lateRepeats: 1 });
    expect(ledger.lateRepeats()).toMatchObject([{ command: { commandId: "command-1" } }]);
  });

  it("takes no gap for a violation: superseded commands never arrive", () => {
    const ledger = new Ledger();
    enter(ledger, [1, 5, 9]);
    expect(ledger.summary().violations).toBe(0);
  });

  it("judges each unit and each incident on its own, metrics too", () => {
    const ledger = new Ledger();
    enter(ledger, [5], { unitId: "A", incidentId: "I" });
    enter(ledger, [3], { unitId: "B" });
    ledger.record({ connection: 1, event: "metrics:updated", payload: { metrics: {}, context: context(2) } });
    expect(ledger.summary().violations).toBe(0);
    enter(ledger, [4], { unitId: "C", incidentId: "I" });
    ledger.record({ connection: 1, event: "metrics:updated", payload: { metrics: {}, context: context(1) } });
    expect(ledger.violations().map(({ key }) => key)).toEqual(["incident:I", "metrics"]);
    const nested = { ...assignment, unitId: "D", incident: { incidentId: "I" }, context: context(3, "nested") };
    ledger.record({ connection: 1, event: "assignment:sent", payload: nested });
    expect(ledger.violations().at(-1)).toMatchObject({ key: "incident:I", command: { commandId: "nested" } });
  });

  it("judges the order in which handlers finish apart from that of arrival", () => {
    const ledger = new Ledger();
    const [first, second] = enter(ledger, [1, 2]);
    second?.("applied");
    first?.("applied");
    expect(ledger.summary()).toMatchObject({ violations: 0, appliedViolations: 1 });
  });

  it("counts object payloads that it cannot judge, and no others", () => {
    const ledger = new Ledger();
    const entered: unknown[] = [
      { unitId: "A" },
      { context: { ...context(1), issuedAt: "2026-01-31T22:05:00Z" } },
      "E39",
      null,
    ];
    for (const payload of entered) ledger.record({ connection: 1, event: "unit:status", payload });
    expect(ledger.summary()).toMatchObject({ received: 4, unmarked: 2 });
  });

  it("keeps no more entries than its bound, counts on and still judges", () => {
    const ledger = new Ledger({ max: 3 });
    enter(ledger, [1, 2, 3, 4, 6, 5]);
    expect(ledger.summary()).toMatchObject({ received: 6, kept: 3, commands: 6, violations: 1 });
    expect(ledger.entries({ after: 1 }).map(({ seq }) => seq)).toEqual([2, 3]);
  });

  it("is not changed after it was cleared by a handler that was still busy", () => {
    const ledger = new Ledger();
    const [finish] = enter(ledger, [1]);
    ledger.clear();
    finish?.("applied");
    expect(ledger.summary()).toMatchObject({ received: 0, commands: 0, byEvent: {} });
  });

  it("judges well over 10,000 events a second", () => {
    const ledger = new Ledger({ max: 1000 });
    const from = performance.now();
    for (let n = 0; n < 100_000; n++) enter(ledger, [n], { unitId: `U${n % 5000}` });
    expect(performance.now() - from).toBeLessThan(5000);
    expect(ledger.summary()).toMatchObject({ received: 100_000, violations: 0 });
  });
});

const send = async (probe: Probe, count: number) => {
  for (let n = 1; n <= count; n++) probe.socket.emit("unit:status", status(n));
  await settle(probe);
  return withoutMarkers(probe).length;
};

describe("the switches", () => {
  const nacks = {
    refuse: { success: false, error: expect.any(String), retryable: true },
    reject: { success: false, error: expect.any(String) },
  };

  it.each(["refuse", "reject"] as const)("%s: legacy has no echo for the next so many, then goes on", async (name) => {
    const cad = await start({ switches: { delayMs: AT_ONCE, [name]: { next: 3 } } });
    const probe = await connect(cad);
    expect(await send(probe, 5)).toBe(2);
    expect(
      cad.ledger
        .entries()
        .map(({ outcome }) => outcome)
        .slice(0, 3),
    ).toEqual(Array(3).fill(name === "refuse" ? "refused" : "rejected"));
    expect(cad.switches[name]).toEqual({ next: 0 });
  });

  it.each(["refuse", "reject"] as const)("%s: modern nacks, and says whether to try again", async (name) => {
    const cad = await start({ character: "modern", switches: { [name]: 1 } });
    const probe = await connect(cad);
    expect(await probe.socket.emitWithAck("unit:status", status(1))).toEqual(nacks[name]);
    expect(cad.ledger.entries()[0]?.outcome).toBe(name === "refuse" ? "refused" : "rejected");
  });

  it("a fraction is taken of the commands at random", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad);
    cad.switches.dropEchoes = 0.5;
    for (let n = 1; n <= 400; n++) probe.socket.emit("unit:status", status(n));
    await until(
      "all handled",
      () => cad.ledger.entries().filter(({ outcome }) => outcome === "applied").length === 400,
    );
    cad.switches.dropEchoes = 0;
    await settle(probe);
    expect(withoutMarkers(probe).length).toBeGreaterThan(140);
    expect(withoutMarkers(probe).length).toBeLessThan(260);
  });

  it("dropEchoes: it is handled and acked, but nobody hears of it", async () => {
    const cad = await start({ character: "modern", switches: { delayMs: AT_ONCE, dropEchoes: { next: 1 } } });
    const probe = await connect(cad);
    expect(await probe.socket.emitWithAck("unit:status", status(1))).toEqual({ success: true });
    await settle(probe);
    expect(withoutMarkers(probe)).toEqual([]);
    expect(cad.ledger.entries()[0]?.outcome).toBe("applied");
  });

  it("dropAcks: it is handled and its echo is there, but the ack is lost; joins keep theirs", async () => {
    const cad = await start({ character: "modern", switches: { delayMs: AT_ONCE, dropAcks: 1 } });
    const probe = await connect(cad);
    const acks: unknown[] = [];
    probe.socket.emit("unit:status", status(1), (ack: unknown) => acks.push(ack));
    probe.socket.emit("join:unit", "E39", (ack: unknown) => acks.push(ack));
    await settle(probe);
    expect(withoutMarkers(probe)).toEqual(["S1"]);
    expect(acks).toHaveLength(1);
  });

  it("delayMs: a slow CAD takes its time", async () => {
    const cad = await start({ switches: { delayMs: { min: 150, max: 160 } } });
    const probe = await connect(cad);
    const from = performance.now();
    await send(probe, 1);
    expect(performance.now() - from).toBeGreaterThan(140);
  });

  it("refuseToken: refuses the right token too, until it is off", async () => {
    const cad = await start({ switches: { refuseToken: true } });
    const probe = open(cad);
    await until("refused", () => probe.refusals.length > 0);
    expect(probe.refusals).toEqual(["Authentication failed"]);
    cad.switches.refuseToken = false;
    probe.socket.connect();
    await until("connected", () => probe.socket.connected);
  });

  it("authFails and authSilent: a failure, no answer, then an answer", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE, authFails: true } });
    const probe = await connect(cad);
    const ask = async () => {
      probe.socket.emit("fastapi:authenticate", { token: TOKEN });
      await settle(probe);
      return probe.heard("authenticated").splice(0);
    };
    expect(await ask()).toEqual([{ success: false, error: expect.any(String) }]);
    Object.assign(cad.switches, { authFails: false, authSilent: true });
    expect(await ask()).toEqual([]);
    cad.switches.authSilent = false;
    expect(await ask()).toEqual([{ success: true, source: "fastapi" }]);
    expect(probe.disconnects).toEqual([]);
  });

  const timestamp = { incidentId: INCIDENT, field: "time_en_route", timestamp: "2026-01-31T22:05:00Z" };
  const STRICT: [string, string, object, "applied" | "failed"][] = [
    ["a unit that is a UUID", "unit:status", { unitId: UNIT, status: "x" }, "applied"],
    ["a unit that is none", "unit:status", { unitId: "UNIT-1", status: "x" }, "failed"],
    ["a location of such a unit", "unit:location", { unitId: "UNIT-1" }, "failed"],
    ["an incident that it knows", "incident:status", { incidentId: INCIDENT, status: "x" }, "applied"],
    ["an incident that it does not know", "incident:status", { incidentId: UNIT, status: "x" }, "failed"],
    ["an incident id that is no UUID", "incident:created", { incidentId: "INC-1" }, "failed"],
    ["a good time", "incident:timestamp", timestamp, "applied"],
    ["a bad timestamp", "incident:timestamp", { ...timestamp, timestamp: "yesterday" }, "failed"],
    ["an unknown time column", "incident:timestamp", { ...timestamp, field: "enroute_at" }, "failed"],
    ["an assignment of such a unit", "assignment:sent", assignment, "failed"],
  ];
  it.each(STRICT)("strict: %s with %s", async (_name, event, payload, outcome) => {
    const log: string[] = [];
    const cad = await start({ switches: { delayMs: AT_ONCE, strict: true }, log: (message) => log.push(message) });
    const probe = await connect(cad);
    probe.socket.emit("incident:created", { incidentId: INCIDENT });
    probe.socket.emit(event, payload);
    await until("handled", () => cad.ledger.entries()[1]?.outcome === outcome);
    expect(log.map((line) => line.split(":").slice(0, 2).join(":"))).toEqual(outcome === "failed" ? [event] : []);
    cad.switches.strict = false;
    await settle(probe);
    const echoes = [
      "unit:status:updated",
      "unit:location:updated",
      "incident:status:updated",
      "incident:timestamp:updated",
      "incident:new",
    ];
    const heard = echoes.flatMap((name) => probe.heard(name)).length - 2; // the incident's and the marker's
    expect(heard).toBe(outcome === "applied" ? 1 : 0);
    expect(probe.disconnects).toEqual([]);
  });

  it("strict: a modern CAD says what is wrong", async () => {
    const probe = await connect(await start({ character: "modern", switches: { strict: true } }));
    const ack = await probe.socket.emitWithAck("unit:status", { unitId: "E39", status: "x" });
    expect(ack).toEqual({ success: false, error: "unitId is not a UUID" });
  });

  it("refuse to be set to what is wrong", async () => {
    const cad = await start();
    expect(() => (cad.switches.refuse = 2)).toThrow(/switch refuse: .*<=1/s);
    expect(() => (cad.switches.delayMs = { min: 2, max: 1 })).toThrow(/min must not be above max/);
    expect(cad.switches).toMatchObject({ refuse: 0, delayMs: { min: 0.2, max: 5 } });
  });
});

describe.each(["websocket", "polling"] as const)("hang, over %s", (transport) => {
  const options: ProbeOptions = { token: TOKEN, transports: [transport] };

  it("answers nothing until it goes on, and then handles what came meanwhile, in order", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad, options);
    const late = open(cad, options);
    await until("both connected", () => late.socket.connected);
    let fenced = false;
    const fence = probe.socket.io.socket("/no-such-namespace");
    fence.once("connect_error", () => (fenced = true));

    cad.switches.hang = true;
    for (let n = 1; n <= 50; n++) probe.socket.emit("unit:status", status(n));
    fence.connect();
    const newcomer = open(cad, options);
    const tcp = connectTcp(cad.port, "127.0.0.1");
    onTestFinished(() => void tcp.destroy());
    await until("TCP still accepts", () => tcp.readyState === "open");
    cad.broadcast("incident:new", { incidentId: "held back" });
    // Some round trips of another connection: enough for an answer to have come, if there were one.
    for (let n = 0; n < 20; n++) expect((await fetch(`${cad.url}/simulator/health`)).status).toBe(200);
    expect(cad.ledger.summary().received).toBe(0);
    expect({ fenced, newcomer: newcomer.socket.connected, heard: late.heard("incident:new") }).toEqual({
      fenced: false,
      newcomer: false,
      heard: [],
    });

    cad.switches.hang = false;
    await until("everything handled", () => heardStatuses(late).length === 50);
    await until("the fence", () => fenced);
    await until("the newcomer", () => newcomer.socket.connected);
    expect(cad.ledger.summary()).toMatchObject({ received: 50, violations: 0 });
    expect(late.heard("incident:new")).toHaveLength(1);
    expect([...probe.disconnects, ...late.disconnects]).toEqual([]);
    fence.disconnect();
  });

  it.each(["before", "after"])("sends no ping and gives up no client, from %s a ping on", async (when) => {
    const cad = await start({ pingInterval: 100, pingTimeout: 150 });
    const probe = await connect(cad, { ...options, reconnection: false });
    // After a ping: its answer is on the way, and the CAD's own time-out is running.
    if (when === "after") await new Promise<void>((resolve) => probe.socket.io.once("ping", resolve));
    cad.switches.hang = true;
    const from = performance.now();
    await until("noticed", () => probe.disconnects.length > 0);
    expect(probe.disconnects).toEqual(["ping timeout"]);
    await until("longer than every time-out", () => performance.now() - from > 500);
    expect(cad.connections).toBe(1);
    cad.switches.hang = false;
    await until("the connection is gone", () => cad.connections === 0);
  });

  it("goes on with its pings", async () => {
    const cad = await start({ pingInterval: 40, pingTimeout: 400 });
    const probe = await connect(cad, options);
    cad.switches.hang = true;
    cad.switches.hang = false;
    let pings = 0;
    probe.socket.io.on("ping", () => pings++);
    await until("pings", () => pings >= 3);
    expect(probe.disconnects).toEqual([]);
  });

  it("lets a handler that was under way finish only when it goes on", async () => {
    const cad = await start({ switches: { delayMs: { min: 30, max: 30 } } });
    const probe = await connect(cad, options);
    probe.socket.emit("unit:status", status(1));
    await until("received", () => cad.ledger.summary().received === 1);
    cad.switches.hang = true;
    const from = performance.now();
    await until("well past its end", () => performance.now() - from > 60);
    expect(cad.ledger.entries()[0]?.outcome).toBe("pending");
    cad.switches.hang = false;
    await until("the echo", () => heardStatuses(probe).length === 1);
  });

  it("stops in the middle of a flood", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad, options);
    const text = "x".repeat(10_000);
    for (let n = 1; n <= 1000; n++) probe.socket.emit("unit:status", status(n, { status: text }));
    await until("some have come", () => cad.ledger.summary().received > 0);
    cad.switches.hang = true;
    const { received } = cad.ledger.summary();
    expect(received).toBeLessThan(1000);
    for (let n = 0; n < 20; n++) expect((await fetch(`${cad.url}/simulator/health`)).status).toBe(200);
    expect(cad.ledger.summary().received).toBe(received);
    cad.switches.hang = false;
    await until("all have come", () => cad.ledger.summary().received === 1000);
    expect(cad.ledger.summary().violations).toBe(0);
  });

  it("can be stopped, restarted and cut while it hangs", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad, options);
    cad.switches.hang = true;
    expect(cad.dropConnections()).toBe(1);
    await cad.restart();
    await until("cut", () => probe.disconnects.length === 1);
    cad.switches.hang = false;
    await until("connected again", () => probe.socket.connected);
    cad.switches.hang = true;
    await cad.stop();
    await until("gone", () => probe.disconnects.length === 2);
  });
});

describe("hang", () => {
  it("still handles what a client sent that has gone meanwhile", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad, { token: TOKEN, reconnection: false });
    cad.switches.hang = true;
    const text = "x".repeat(1000);
    for (let n = 1; n <= 500; n++) probe.socket.emit("unit:status", status(n, { status: text }));
    await until("written", () => probe.socket.io.engine.writeBuffer.length === 0);
    for (let n = 0; n < 3; n++) cad.broadcast("incident:new", { incidentId: INCIDENT });
    probe.kill();
    await until("gone", () => probe.disconnects.length === 1);
    expect(cad.ledger.summary().received).toBe(0);
    cad.switches.hang = false;
    await until("handled", () => cad.ledger.summary().received === 500);
    await until("the connection is gone", () => cad.connections === 0);
  });
});

describe("its life", () => {
  it("restarts on the same port without connections and rooms, and keeps its ledger", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad);
    probe.socket.emit("join:unit", "E39");
    await settle(probe);
    const { url } = cad;
    await cad.restart();
    expect(cad.url).toBe(url);
    await until("reconnected", () => probe.disconnects.length === 1 && probe.socket.connected);
    expect(probe.disconnects).toEqual(["transport close"]);
    probe.socket.emit("assignment:sent", assignment);
    await settle(probe);
    expect(probe.heard("assignment:received")).toEqual([]);
    expect(cad.ledger.entries().map(({ connection }) => connection)).toEqual([1, 1, 2, 2]);
  });

  it("forgets, when restarted, what it was handling", async () => {
    const cad = await start({ switches: { delayMs: { min: 100, max: 100 } } });
    const probe = await connect(cad);
    probe.socket.emit("unit:status", status(1));
    await until("received", () => cad.ledger.summary().received === 1);
    await cad.restart();
    await until("reconnected", () => probe.disconnects.length === 1 && probe.socket.connected);
    await settle(probe); // takes as long as the handler would have
    expect(cad.ledger.entries()[0]?.outcome).toBe("pending");
    expect(withoutMarkers(probe)).toEqual([]);
  });

  it("stops twice as well as once, promptly, with clients connected, and stays stopped", async () => {
    const cad = await start();
    const probe = await connect(cad);
    const from = performance.now();
    await Promise.all([cad.stop(), cad.stop()]);
    await cad.stop();
    expect(performance.now() - from).toBeLessThan(1000);
    await until("disconnected", () => probe.disconnects.length === 1);
    await expect(fetch(`${cad.url}/simulator/health`)).rejects.toThrow();
    await expect(cad.restart()).rejects.toThrow(/start another/);
  });

  it("pretends to be an MDT, and sends what is malformed", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const [inside, outside] = [await connect(cad), await connect(cad)];
    inside.socket.emit("join:unit", "E39");
    await settle(inside);
    for (const payload of [null, "text", {}]) cad.broadcast("unit:location:updated", payload);
    cad.broadcast("assignment:received", assignment, "unit:E39");
    await settle(inside);
    await settle(outside);
    expect(outside.heard("unit:location:updated")).toEqual([null, "text", {}]);
    expect(inside.heard("assignment:received")).toEqual([assignment]);
    expect(outside.heard("assignment:received")).toEqual([]);
  });

  it("says what to do when its port is taken or its token is empty", async () => {
    const { port } = await start();
    await expect(startCad({ token: TOKEN, port })).rejects.toThrow(`port ${port} is taken`);
    await expect(startCad({ token: "" })).rejects.toThrow(/needs a token/);
  });
});

const call = async (cad: { url: string }, method: string, path: string, body?: unknown) => {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${cad.url}/simulator${path}`, { method, ...(body !== undefined && { body: text }) });
  const answer = await response.text();
  return { status: response.status, body: answer === "" ? undefined : (JSON.parse(answer) as unknown) };
};

describe("the control surface", () => {
  it("tells its health", async () => {
    const cad = await start({ character: "modern" });
    await connect(cad);
    expect(await call(cad, "GET", "/health")).toEqual({
      status: 200,
      body: { status: "ok", character: "modern", connections: 1 },
    });
  });

  it("shows the ledger's judgement and its entries page by page, and clears it", async () => {
    const cad = await start({ switches: { delayMs: AT_ONCE } });
    const probe = await connect(cad);
    for (const n of [1, 3, 2]) probe.socket.emit("unit:status", status(n));
    await settle(probe);
    expect((await call(cad, "GET", "/ledger")).body).toMatchObject({
      received: 4,
      violations: 1,
      examples: { violations: [{ key: "unit:E39" }], lateRepeats: [], appliedViolations: [{ key: "unit:E39" }] },
    });
    const page = (await call(cad, "GET", "/ledger?after=1&limit=2")).body;
    expect(page).toMatchObject({ entries: [{ seq: 2, commandId: "command-3" }, { seq: 3 }], next: 3 });
    expect((await call(cad, "GET", "/ledger?after=4")).body).toEqual({ entries: [], next: 4 });
    expect(await call(cad, "DELETE", "/ledger")).toEqual({ status: 204, body: undefined });
    expect(cad.ledger.summary().received).toBe(0);
  });

  it("reads and changes the switches, while it hangs too", async () => {
    const cad = await start();
    const probe = await connect(cad);
    expect((await call(cad, "GET", "/switches")).body).toEqual(cad.switches);
    expect((await call(cad, "PATCH", "/switches", { hang: true, refuse: { next: 2 } })).status).toBe(200);
    expect(cad.switches).toMatchObject({ hang: true, refuse: { next: 2 }, dropAcks: 0 });
    probe.socket.emit("join:unit", "E39");
    expect((await call(cad, "PATCH", "/switches", { hang: false })).body).toMatchObject({ hang: false });
    await until("it goes on", () => cad.ledger.summary().received === 1);
  });

  it("drops the connections", async () => {
    const cad = await start();
    const probe = await connect(cad);
    expect(await call(cad, "POST", "/drop-connections")).toEqual({ status: 200, body: { dropped: 1 } });
    await until("dropped", () => probe.disconnects.length === 1);
  });

  it.each([
    ["an unknown switch", "PATCH", "/switches", { strict: true, hangs: true }, 422, /hangs/],
    ["a fraction above 1", "PATCH", "/switches", { strict: true, dropAcks: 1.5 }, 422, /dropAcks.*<=1/],
    ["no JSON", "PATCH", "/switches", "{", 422, /expected object/],
    ["too large a body", "PATCH", "/switches", "x".repeat(70_000), 413, /65536/],
    ["a limit of 0", "GET", "/ledger?limit=0", undefined, 422, /limit/],
    ["an unknown parameter", "GET", "/ledger?offset=1", undefined, 422, /offset/],
    ["a path that is not there", "GET", "/nothing", undefined, 404, /simulator\/ledger/],
    ["a method that is not there", "POST", "/ledger", undefined, 405, /GET, DELETE/],
  ])("refuses %s, says why and changes nothing", async (_name, method, path, body, code, why) => {
    const cad = await start();
    const answer = await call(cad, method, path, body);
    expect(answer.status).toBe(code);
    expect(JSON.stringify(answer.body)).toMatch(why);
    expect(cad.switches.strict).toBe(false);
  });
});

describe("the process", () => {
  const main = fileURLToPath(new URL("../simulator/main.ts", import.meta.url));

  function run(env: Record<string, string>, args: string[] = []) {
    const child = spawn(process.execPath, [main, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
    const output = { out: "", err: "" };
    child.stdout.on("data", (text: Buffer) => (output.out += text.toString()));
    child.stderr.on("data", (text: Buffer) => (output.err += text.toString()));
    const exit = new Promise<number | string | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? signal));
    });
    onTestFinished(async () => {
      child.kill("SIGKILL");
      await exit;
      expect(() => process.kill(child.pid ?? 0, 0)).toThrow("ESRCH");
    });
    const ready = async () => {
      await until("ready", () => output.out.includes("\n"));
      return /(http:\S+)/.exec(output.out)?.[1] ?? "";
    };
    return { child, output, exit, ready };
  }

  it.each(["SIGTERM", "SIGINT"] as const)(
    "says when it listens, serves, and ends well on %s, hanging too",
    async (signal) => {
      const env = {
        SIMULATOR_TOKEN: TOKEN,
        SIMULATOR_PORT: "0",
        SIMULATOR_CHARACTER: "modern",
        SIMULATOR_SWITCHES: '{"strict":true}',
      };
      const { child, output, exit, ready } = run(env);
      const url = await ready();
      expect(output.out).toMatch(/^simulator listening on http:\/\/127\.0\.0\.1:\d+ \(modern\)\n$/);
      const probe = openProbe(url, { token: TOKEN });
      opened.push(probe);
      await until("connected", () => probe.socket.connected);
      const ack = await probe.socket.emitWithAck("unit:status", { unitId: "E39", status: "x" });
      expect(ack).toMatchObject({ success: false });
      await fetch(`${url}/simulator/switches`, { method: "PATCH", body: '{"hang":true}' });
      child.kill(signal);
      expect(await exit).toBe(0);
      await until("disconnected", () => probe.disconnects.length === 1);
    },
  );

  it("crashes with exit code 1 as the real one does", async () => {
    const { output, exit, ready } = run({ SIMULATOR_TOKEN: TOKEN, SIMULATOR_PORT: "0" });
    const probe = openProbe(await ready(), { token: TOKEN });
    opened.push(probe);
    await until("connected", () => probe.socket.connected);
    probe.socket.emit("assignment:sent", null);
    expect(await exit).toBe(1);
    expect(output.err).toContain("assignment:sent with a null payload");
  });

  it("lists every wrong variable at once, without its value, and exits with 78", async () => {
    const env = {
      SIMULATOR_TOKEN: "",
      SIMULATOR_PORT: "70000-secret",
      SIMULATOR_HOST: "",
      SIMULATOR_CHARACTER: "secret",
      SIMULATOR_SWITCHES: '{"hang":"secret"}',
    };
    const { output, exit } = run(env);
    expect(await exit).toBe(78);
    for (const name of Object.keys(env)) expect(output.err).toContain(name);
    expect(output.err).not.toContain("secret");
    expect(output.out).toBe("");
  });

  it("requires a token, and JSON for the switches", async () => {
    const { output, exit } = run({ SIMULATOR_SWITCHES: "hang" });
    expect(await exit).toBe(78);
    expect(output.err).toMatch(/SIMULATOR_TOKEN: is required\n.*SIMULATOR_SWITCHES: must be JSON/);
  });

  it("says which port is taken", async () => {
    const { port } = await start();
    const { output, exit } = run({ SIMULATOR_TOKEN: TOKEN, SIMULATOR_PORT: String(port) });
    expect(await exit).toBe(1);
    expect(output.err).toMatch(new RegExp(`port ${port} is taken.*SIMULATOR_PORT`));
  });

  it("explains itself and its variables with --help, and takes no other argument", async () => {
    const help = run({}, ["--help"]);
    expect(await help.exit).toBe(0);
    for (const name of ["TOKEN", "PORT", "HOST", "CHARACTER", "SWITCHES"])
      expect(help.output.out).toContain(`SIMULATOR_${name}`);
    expect(help.output.out).toContain("Default: 3000.");
    expect(await run({}, ["--port=1"]).exit).toBe(64);
  });
});
