import { describe, expect, it } from "vitest";
import { CHARACTERS } from "../../tools/simulator/characters.ts";
import {
  TOKEN,
  INCIDENT,
  AT_ONCE,
  start,
  open,
  connect,
  context,
  status,
  heardStatuses,
  settle,
  withoutMarkers,
  assignment,
  COMMANDS,
} from "../support/simulated-cad.ts";
import { until } from "../../tools/support/until.ts";

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
