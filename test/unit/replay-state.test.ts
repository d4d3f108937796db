import { expect, test } from "vitest";
import { expectedState } from "../../tools/replay/expected-state.ts";
import { byId, differences } from "../../tools/replay/known.ts";
import type { Response } from "../../tools/replay/sffd-row.ts";

type Column = Parameters<Response["times"]["get"]>[0];
const instant = (at: number) => ({ at, iso: `second ${at}` });

function response(unit: string, times: Partial<Record<Column, number>>, more: Partial<Response> = {}): Response {
  const entries = Object.entries(times) as [Column, number][];
  return {
    unit,
    incident: "I1",
    call: "C1",
    type: "Cat in Tree",
    address: "1 Elm St",
    priority: 3,
    transportType: "BLS",
    place: { lat: 37.5, lng: -122.25 },
    received: undefined,
    times: new Map(entries.map(([column, at]) => [column, instant(at)])),
    ...more,
  };
}
const rows = (...responses: Response[]) => responses.map((one, i) => ({ line: i + 2, response: one }));

test("the last thing that happened counts, whichever line of the file it is on", () => {
  const { units, incidents } = expectedState(
    rows(
      response("X1", { dispatch_dttm: 50, response_dttm: 60 }, { incident: "I2" }),
      response("X1", { dispatch_dttm: 1, on_scene_dttm: 10, available_dttm: 40 }),
    ),
    true,
  );
  expect(units.get("X1")).toEqual({
    "status.value": "enroute",
    "incident.value": "I2",
    "assignment.value": "I2",
    "location.value": { type: "Point", coordinates: [-122.25, 37.5] },
  });
  expect(incidents.get("I1")).toMatchObject({ '["units","X1","status","value"]': "available" });
});

test("of two units at one incident, each has its own status, and the later of their times is the incident's", () => {
  const { incidents } = expectedState(
    rows(response("X1", { response_dttm: 9 }), response("X2", { response_dttm: 5, on_scene_dttm: 7 })),
    true,
  );
  expect(incidents.get("I1")).toMatchObject({
    '["units","X1","status","value"]': "enroute",
    '["units","X2","status","value"]': "onscene",
    "timestamps.time_en_route.timestamp": "second 9",
    "timestamps.time_at_facility.timestamp": "second 7",
  });
});

test("in the same second, the natural order counts, and then the line", () => {
  const { units } = expectedState(rows(response("X1", { available_dttm: 5, hospital_dttm: 5 })), true);
  expect(units.get("X1")?.["status.value"]).toBe("available");
  const two = [response("X1", { response_dttm: 5 }), response("X1", { response_dttm: 5 }, { incident: "I2" })];
  expect(expectedState(rows(...two), true).units.get("X1")?.["incident.value"]).toBe("I2");
});

test("a completed transport is expected only of a CAD that broadcasts it", () => {
  const day = rows(response("X1", { hospital_dttm: 5 }));
  const of = (completions: boolean) =>
    expectedState(day, completions).incidents.get("I1")?.["completion.value.epcr_id"];
  expect([of(true), of(false)]).toEqual(["C1-X1", undefined]);
});

test("a different or missing value is reported with its path", () => {
  const told = byId({ status: { value: "a" }, units: [{ unit_id: "X.1", status: { value: "b" } }] });
  const known = { "status.value": "a", '["units","X.1","status","value"]': "c", "location.value": 1 };
  expect(differences(told, known)).toEqual([
    'units.X.1.status.value is "b", not "c"',
    "location.value is undefined, not 1",
  ]);
  expect(differences(undefined, { "status.value": "a" })).toEqual(['status.value is undefined, not "a"']);
});
