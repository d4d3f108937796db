import { expect, test } from "vitest";
import { answersAnother } from "../../tools/simulate/check/attribution.ts";

const command = { kind: "units/status", body: { unit_id: "M1", status: "enroute" } };
const broadcast = {
  event: "unit:status:updated",
  payload: { unitId: "M1", status: "enroute", by: "terminal" },
  at: 5000,
};
const span = { accepted: 4000, settled: 6000 };

test("an equal broadcast of another client, while the command goes unanswered, explains its echo", () => {
  expect(answersAnother(command, [broadcast], span)).toBe(true);
});

test.each([
  ["of another unit", { ...broadcast, payload: { ...broadcast.payload, unitId: "M2" } }, span],
  ["with another value", { ...broadcast, payload: { ...broadcast.payload, status: "onscene" } }, span],
  ["about an incident too", { ...broadcast, payload: { ...broadcast.payload, incidentId: "INC-1" } }, span],
  ["of another event", { ...broadcast, event: "unit:location:updated" }, span],
  ["after the command was settled", { ...broadcast, at: 7001 }, span],
  ["long before the command", broadcast, { accepted: 60_000, settled: 61_000 }],
])("a broadcast %s explains nothing", (_, other, when) => {
  expect(answersAnother(command, [other], when)).toBe(false);
});

test("a command that no broadcast follows is never explained", () => {
  const none = { kind: "transport/completed", body: { incident_id: "INC-1", epcr_id: "E" } };
  expect(answersAnother(none, [broadcast], span)).toBe(false);
});
