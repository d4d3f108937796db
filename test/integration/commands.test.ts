import { describe, expect, test } from "vitest";
import type { Command } from "../../shared/commands/command.ts";
import { commands } from "../../shared/commands/table.ts";
import { startBridge } from "../support/bridge.ts";
import { until } from "../../tools/support/until.ts";

/** What the CAD must get for the first example of each command, by its wire contract; written by hand. */
const ON_THE_WIRE: Record<string, { event: string; payload: unknown }> = {
  "assignments/send": {
    event: "assignment:sent",
    payload: {
      unitId: "M12",
      incident: {
        incidentId: "INC-2026-004711",
        type: "Chest Pain",
        address: "500 Block of Mission St",
        priority: 1,
        details: "Third floor, lift out of order",
        location: { type: "Point", coordinates: [-122.3988, 37.7886] },
      },
      timestamp: expect.any(String),
    },
  },
  "units/location": {
    event: "unit:location",
    payload: {
      unitId: "M12",
      location: { type: "Point", coordinates: [-122.4076, 37.7841] },
      heading: 92.5,
      speed: 15,
    },
  },
  "units/status": {
    event: "unit:status",
    payload: { unitId: "M12", status: "enroute", incidentId: "INC-2026-004711" },
  },
  incidents: {
    event: "incident:created",
    payload: {
      incidentId: "INC-2026-004711",
      type: "Chest Pain",
      address: "500 Block of Mission St",
      priority: 1,
      location: { type: "Point", coordinates: [-122.3988, 37.7886] },
    },
  },
  "incidents/status": {
    event: "incident:status",
    payload: { incidentId: "INC-2026-004711", status: "transporting", userId: "dispatcher-7" },
  },
  "incidents/timestamp": {
    event: "incident:timestamp",
    payload: {
      incidentId: "INC-2026-004711",
      field: "time_at_facility",
      timestamp: "2026-01-31T14:05:00-08:00",
      location: { type: "Point", coordinates: [-122.3988, 37.7886] },
      source: "auto",
    },
  },
  "transport/completed": {
    event: "transport:completed",
    payload: {
      incidentId: "INC-2026-004711",
      epcrId: "EPCR-90210",
      transportType: "ALS",
      patientName: "Pat Example",
      destination: "General Hospital",
      billingData: { mileage: 4.2, level_of_service: "ALS1" },
      timestamp: expect.any(String),
    },
  },
  "metrics/broadcast": {
    event: "metrics:updated",
    payload: { metrics: { available: 12, enroute: 4, transporting: 3 }, timestamp: expect.any(String) },
  },
  "rooms/join": { event: "join:unit", payload: "M12" },
  "rooms/leave": { event: "leave:unit", payload: "M12" },
};

const named: [string, Command][] = commands.map((command) => [command.name, command]);

describe.each(["modern", "legacy"] as const)("with a %s CAD", (character) => {
  test.each(named)("%s reaches the CAD as its wire contract says, and its receipt says so", async (name, command) => {
    const bridge = await startBridge({ cad: { character } });
    const [example] = command.examples;
    const answer = await bridge.post(`/${name}`, example.body);
    expect(answer.status).toBe(202);
    const id = answer.body["command_id"];
    expect(answer.headers.get("Location")).toBe(`/api/socket-bridge/commands/${String(id)}`);
    const ids = Object.entries(example.body).filter(([field]) => field.endsWith("_id") || field === "room");
    expect(answer.body).toMatchObject({ success: true, status: "queued", ...Object.fromEntries(ids) });

    const receipt = await bridge.settled(id);
    const expected = character === "modern" || command.echo ? "confirmed" : "received";
    expect(receipt).toMatchObject({
      status: expected,
      sends: 1,
      command: name,
      ordering_keys: command.keys(command.body.parse(example.body)),
    });
    if (expected === "confirmed" && character === "legacy") expect(receipt.confirmed_by).toBe("echo");

    const wire = ON_THE_WIRE[name];
    const entry = bridge.cad.ledger.entries().find((e) => e.event === wire?.event);
    if (typeof wire?.payload === "string") expect(entry?.payload).toBe(wire.payload);
    else {
      const context = { commandId: id, userId: "demo-admin", role: "admin", issuedAt: receipt.accepted_at };
      expect(entry?.payload).toEqual({ ...(wire?.payload as object), context });
    }
  });
});

test("an assignment comes back because the bridge joins the unit's room first, and joins it again after a reconnect", async () => {
  const bridge = await startBridge({ cad: { character: "legacy" } });
  const [example] = commands.find((c) => c.name === "assignments/send")?.examples ?? [];
  expect(await bridge.deliver("/assignments/send", example?.body)).toMatchObject({ confirmed_by: "echo" });
  const joinsBefore = bridge.cad.ledger.entries().filter((e) => e.event === "join:unit").length;
  expect(joinsBefore).toBe(1);
  bridge.cad.dropConnections();
  await until(
    "the room is joined again",
    () => bridge.cad.ledger.entries().filter((e) => e.event === "join:unit").length === 2,
  );
  expect(await bridge.deliver("/assignments/send", example?.body)).toMatchObject({ confirmed_by: "echo", sends: 1 });
  expect(bridge.cad.ledger.entries().filter((e) => e.event === "join:unit")).toHaveLength(2);
});

test("a room that was left is not joined again after a reconnect", async () => {
  const bridge = await startBridge({ cad: { character: "modern" } });
  await bridge.deliver("/rooms/join", { room: "unit:A" });
  await bridge.deliver("/rooms/join", { room: "incident:B" });
  await bridge.deliver("/rooms/leave", { room: "unit:A" });
  const before = bridge.cad.ledger.entries().length;
  await bridge.cad.restart();
  await until("the other room is joined again", () =>
    bridge.cad.ledger
      .entries()
      .slice(before)
      .find((e) => e.event === "join:incident" && e.payload === "B"),
  );
  await bridge.healthy();
  expect(
    bridge.cad.ledger
      .entries()
      .slice(before)
      .map((e) => e.event),
  ).not.toContain("join:unit");
});

test("a CAD that waits is not overtaken: 200 status changes of one unit arrive and apply in order", async () => {
  const bridge = await startBridge({ cad: { character: "legacy", switches: { delayMs: { min: 0, max: 3 } } } });
  const statuses = ["enroute", "onscene", "transport", "hospital", "available"];
  let last: unknown;
  for (let i = 0; i < 200; i += 1) {
    last = (await bridge.post("/units/status", { unit_id: "U", status: statuses[i % 5] })).body["command_id"];
  }
  await bridge.settled(last);
  expect(bridge.cad.ledger.summary()).toMatchObject({
    commands: 200,
    duplicates: 0,
    violations: 0,
    appliedViolations: 0,
  });
});
