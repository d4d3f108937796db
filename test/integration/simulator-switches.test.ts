import { describe, expect, it } from "vitest";
import { type Probe } from "../../tools/simulator/probe.ts";
import {
  TOKEN,
  UNIT,
  INCIDENT,
  AT_ONCE,
  start,
  open,
  connect,
  status,
  settle,
  heardStatuses,
  withoutMarkers,
  assignment,
} from "../support/simulated-cad.ts";
import { until } from "../../tools/support/until.ts";

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
  const STRICT: [string, string, object, "applied" | "failed" | "unechoed"][] = [
    ["a unit that is a UUID", "unit:status", { unitId: UNIT, status: "x" }, "applied"],
    ["a unit that is none", "unit:status", { unitId: "UNIT-1", status: "x" }, "failed"],
    ["a location of such a unit", "unit:location", { unitId: "UNIT-1" }, "failed"],
    ["an incident that it knows", "incident:status", { incidentId: INCIDENT, status: "x" }, "applied"],
    ["an incident that it does not know", "incident:status", { incidentId: UNIT, status: "x" }, "failed"],
    ["a status with an incident that it does not know", "unit:status", { unitId: UNIT, incidentId: UNIT }, "unechoed"],
    ["a relay with an incident id that is no UUID", "incident:created", { incidentId: "INC-1" }, "applied"],
    ["a good time", "incident:timestamp", timestamp, "applied"],
    ["a bad timestamp", "incident:timestamp", { ...timestamp, timestamp: "yesterday" }, "failed"],
    ["an unknown time column", "incident:timestamp", { ...timestamp, field: "enroute_at" }, "failed"],
    ["a relayed assignment of a unit that is none", "assignment:sent", assignment, "applied"],
  ];
  it.each(STRICT)("strict: %s with %s", async (_name, event, payload, outcome) => {
    const log: string[] = [];
    const cad = await start({ switches: { delayMs: AT_ONCE, strict: true }, log: (message) => log.push(message) });
    const probe = await connect(cad);
    cad.store.addIncident(INCIDENT);
    probe.socket.emit("join:unit", "E39");
    probe.socket.emit(event, payload);
    await until("handled", () => cad.ledger.entries()[1]?.outcome === outcome);
    expect(log.map((line) => line.split(":").slice(0, 2).join(":"))).toEqual(outcome === "applied" ? [] : [event]);
    cad.switches.strict = false;
    await settle(probe);
    const echoes = [
      "unit:status:updated",
      "unit:location:updated",
      "incident:status:updated",
      "incident:timestamp:updated",
      "incident:new",
      "assignment:received",
    ];
    const heard = echoes.flatMap((name) => probe.heard(name)).length - 1; // the marker's
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

  describe("the database", () => {
    const relays = [
      ["incident:created", { incidentId: INCIDENT }, "incident:new"],
      ["assignment:sent", assignment, "assignment:received"],
    ] as const;

    it("down: nothing is stored or echoed, relays go on, and the process lives", async () => {
      const cad = await start({ switches: { delayMs: AT_ONCE, databaseDown: true } });
      const probe = await connect(cad);
      probe.socket.emit("join:unit", "E39");
      probe.socket.emit("unit:status", status(1));
      for (const [event, payload] of relays) probe.socket.emit(event, payload);
      await until("the relays are heard", () => relays.every(([, , echo]) => probe.heard(echo).length === 1));
      expect(heardStatuses(probe)).toEqual([]);
      expect(cad.store.writes()).toEqual([]);
      cad.switches.databaseDown = false;
      probe.socket.emit("unit:status", status(2));
      await until("it is stored", () => cad.store.read("unit:E39", "status") === "S2");
      expect(cad.store.writes().map((w) => w.value)).toEqual(["S2"]);
      expect(probe.disconnects).toEqual([]);
    });

    it("down: a modern CAD refuses for now, relays too: it stores them", async () => {
      const probe = await connect(await start({ character: "modern", switches: { databaseDown: true } }));
      const refused = { success: false, error: "the database is down", retryable: true };
      expect(await probe.socket.emitWithAck("unit:status", status(1))).toEqual(refused);
      expect(await probe.socket.emitWithAck("incident:created", { incidentId: INCIDENT })).toEqual(refused);
    });

    it("legacy relays store nothing: the incident stays unknown", async () => {
      const cad = await start({ switches: { delayMs: AT_ONCE } });
      const probe = await connect(cad);
      probe.socket.emit("incident:created", { incidentId: INCIDENT });
      await until("it is relayed", () => probe.heard("incident:new").length === 1);
      expect(cad.store.hasIncident(INCIDENT)).toBe(false);
    });

    it.each([
      ["an unknown unit: nothing changes, and it is echoed", { units: ["M1"] }, "unchanged", 1, undefined],
      ["statusNeedsIncident: it is stored, and not echoed", { statusNeedsIncident: true }, "unechoed", 0, "S1"],
      ["neverEchoed: it is stored, and not echoed", { neverEchoed: ["unit:status"] }, "unechoed", 0, "S1"],
    ] as const)("%s", async (_what, switches, outcome, echoes, stored) => {
      const cad = await start({ switches: { delayMs: AT_ONCE, ...switches } });
      const probe = await connect(cad);
      probe.socket.emit("unit:status", status(1));
      await until("handled", () => cad.ledger.entries()[0]?.outcome === outcome);
      Object.assign(cad.switches, { units: "any", statusNeedsIncident: false, neverEchoed: [] });
      await settle(probe);
      expect(withoutMarkers(probe)).toHaveLength(echoes);
      expect(cad.store.read("unit:E39", "status")).toBe(stored);
    });

    it("stops and starts by the control surface, which shows what is stored", async () => {
      const cad = await start({ switches: { delayMs: AT_ONCE } });
      const ask = async (path: string, init?: RequestInit) =>
        (await (await fetch(`${cad.url}/simulator/${path}`, init)).json()) as { writes: { value: unknown }[] };
      expect(await ask("database/stop", { method: "POST" })).toEqual({ running: false });
      expect(cad.switches.databaseDown).toBe(true);
      expect(await ask("database/start", { method: "POST" })).toEqual({ running: true });
      const probe = await connect(cad);
      probe.socket.emit("unit:status", status(1));
      await until("it is stored", async () => (await ask("store")).writes[0]?.value === "S1");
      const body = JSON.stringify({ incidentId: INCIDENT });
      const made = await fetch(`${cad.url}/simulator/incidents`, { method: "POST", body });
      expect([made.status, cad.store.hasIncident(INCIDENT)]).toEqual([204, true]);
    });
  });
});
