import { describe, expect, it } from "vitest";
import { commandNamed } from "../../shared/commands/table.ts";
import { toCalls } from "../../tools/replay/sffd.ts";
import { REQUIRED_COLUMNS } from "../../tools/replay/sffd-row.ts";

/** An invented response of an invented unit. */
const ROW = {
  unit_id: "X7",
  incident_number: "90000001",
  call_number: "900010001",
  call_type: "Cat in Tree",
  address: "1 Block of EXAMPLE ST",
  final_priority: "3",
  als_unit: "true",
  location: "(37.5, -122.25)",
  received_dttm: "05/06/2021 09:00:00 AM",
  entry_dttm: "05/06/2021 09:01:00 AM",
  dispatch_dttm: "05/06/2021 09:02:00 AM",
  response_dttm: "05/06/2021 09:03:00 AM",
  on_scene_dttm: "05/06/2021 09:04:00 AM",
  transport_dttm: "05/06/2021 09:05:00 AM",
  hospital_dttm: "05/06/2021 09:06:00 AM",
  available_dttm: "05/06/2021 09:07:00 AM",
};
const rows = (...changes: Partial<typeof ROW>[]) =>
  changes.map((change, i) => ({ line: i + 2, row: { ...ROW, ...change } }));
const blank = {
  dispatch_dttm: "",
  response_dttm: "",
  on_scene_dttm: "",
  transport_dttm: "",
  hospital_dttm: "",
  available_dttm: "",
};
const short = (calls: ReturnType<typeof toCalls>["calls"]) =>
  calls.map(
    ({ command, body }) =>
      `${command} ${String(body["status"] ?? body["field"] ?? body["unit_id"] ?? body["incident_id"])}`,
  );

describe("a response of the San Francisco Fire Department", () => {
  it("becomes an incident, an assignment, statuses, a position, timestamps and a transport, in order", () => {
    const { calls, bad } = toCalls(rows({}));
    expect(bad).toEqual([]);
    expect(short(calls)).toEqual([
      "incidents 90000001",
      "assignments/send X7",
      "incidents/timestamp dispatched_at",
      "units/status enroute",
      "incidents/timestamp enroute_at",
      "units/status onscene",
      "units/location X7",
      "incidents/timestamp onscene_at",
      "units/status transport",
      "incidents/timestamp transport_at",
      "units/status hospital",
      "incidents/timestamp hospital_at",
      "transport/completed 90000001",
      "units/status available",
      "incidents/timestamp available_at",
    ]);
    expect(calls[0]).toEqual({
      at: Date.parse("2021-05-06T09:00:00-07:00"),
      line: 2,
      command: "incidents",
      body: {
        incident_id: "90000001",
        incident_type: "Cat in Tree",
        address: "1 Block of EXAMPLE ST",
        priority: 2,
        location: { lat: 37.5, lng: -122.25 },
      },
    });
    expect(calls[2]?.body["timestamp"]).toBe("2021-05-06T09:02:00-07:00");
    expect(calls[12]?.body).toEqual({ incident_id: "90000001", epcr_id: "900010001-X7", transport_type: "ALS" });
  });

  it("makes bodies that the API takes", () => {
    for (const { command, body } of toCalls(rows({}, { location: "" })).calls) {
      expect(commandNamed(command)?.body.safeParse(body).error, command).toBeUndefined();
    }
  });

  it("creates an incident once, when it was received", () => {
    const { calls } = toCalls(rows({ unit_id: "X8" }, {}, { incident_number: "90000002" }));
    expect(calls.filter((call) => call.command === "incidents").map((call) => call.body["incident_id"])).toEqual([
      "90000001",
      "90000002",
    ]);
  });

  it("takes the time of entry where none of receipt is known", () => {
    expect(toCalls(rows({ received_dttm: "" })).calls[0]?.at).toBe(Date.parse("2021-05-06T09:01:00-07:00"));
  });

  it("creates no calls for steps that did not happen", () => {
    const { calls } = toCalls(rows({ ...blank, dispatch_dttm: ROW.dispatch_dttm }));
    expect(short(calls)).toEqual(["incidents 90000001", "assignments/send X7", "incidents/timestamp dispatched_at"]);
  });

  it("keeps the order of the times, even where they contradict the natural one", () => {
    const { calls } = toCalls(
      rows({ ...blank, on_scene_dttm: "05/06/2021 09:30:00 AM", hospital_dttm: "05/06/2021 09:20:00 AM" }),
    );
    expect(short(calls).filter((call) => call.startsWith("units/status"))).toEqual([
      "units/status hospital",
      "units/status onscene",
    ]);
  });

  it("creates an incident before anything of it happens, even where the times deny it", () => {
    const { calls } = toCalls(rows({ dispatch_dttm: "05/06/2021 08:00:00 AM" }));
    expect(short(calls).slice(0, 2)).toEqual(["incidents 90000001", "assignments/send X7"]);
    const second = toCalls(rows({ unit_id: "X8" }, { dispatch_dttm: "05/06/2021 08:00:00 AM" }));
    expect(short(second.calls).slice(0, 2)).toEqual(["incidents 90000001", "assignments/send X7"]);
  });

  it("keeps the natural order within a second", () => {
    const same = Object.fromEntries(
      Object.keys(ROW)
        .filter((key) => key.endsWith("_dttm"))
        .map((key) => [key, ROW.entry_dttm]),
    );
    expect(short(toCalls(rows(same)).calls)).toEqual(short(toCalls(rows({})).calls));
  });

  it("takes times through the autumn night in which an hour comes twice as going forward", () => {
    const { calls } = toCalls(
      rows({
        ...blank,
        received_dttm: "11/07/2021 01:30:00 AM",
        entry_dttm: "",
        dispatch_dttm: "11/07/2021 01:50:00 AM",
        available_dttm: "11/07/2021 01:10:00 AM",
      }),
    );
    expect(calls.map((call) => call.body["timestamp"]).filter(Boolean)).toEqual([
      "2021-11-07T01:50:00-07:00",
      "2021-11-07T01:10:00-08:00",
    ]);
  });

  it.each([
    ["E", 1],
    ["e", 1],
    ["3", 2],
    ["2", 3],
    ["1", 4],
  ])("makes priority %s a %i", (final_priority, priority) => {
    expect(toCalls(rows({ final_priority })).calls[0]?.body["priority"]).toBe(priority);
  });

  it.each([
    ["POINT (-122.25 37.5)", { lat: 37.5, lng: -122.25 }],
    ["(37.5,-122.25)", { lat: 37.5, lng: -122.25 }],
    ["", undefined],
  ])("reads the place %s", (location, place) => {
    expect(toCalls(rows({ location })).calls[0]?.body["location"]).toEqual(place);
  });

  it("makes a unit without advanced life support a BLS transport", () => {
    const { calls } = toCalls(rows({ als_unit: "false" }));
    expect(calls.find((call) => call.command === "transport/completed")?.body["transport_type"]).toBe("BLS");
  });
});

describe("a bad row", () => {
  it.each([
    [{ unit_id: "" }, ["unit_id is blank"]],
    [{ incident_number: "", address: "" }, ["incident_number is blank", "address is blank"]],
    [{ final_priority: "9" }, ['final_priority "9" is not one of 1, 2, 3, E']],
    [{ als_unit: "perhaps" }, ['als_unit "perhaps" is neither true nor false']],
    [{ location: "somewhere" }, ['location: "somewhere" is not a place like (37.78, -122.41)']],
    [{ location: "(137.5, -122.25)" }, ['location: "(137.5, -122.25)" is not a place like (37.78, -122.41)']],
    [{ on_scene_dttm: "noonish" }, ['on_scene_dttm: "noonish" is not a time like 01/31/2017 11:59:49 PM']],
    [blank, ["no status time is given"]],
  ])("%o is told with what is wrong, and not sent", (change, problems) => {
    const { calls, bad, rows: read } = toCalls(rows({}, change));
    expect(read).toBe(2);
    expect(bad).toEqual([{ line: 3, problems }]);
    expect(new Set(calls.map((call) => call.line))).toEqual(new Set([2]));
  });

  it("is also one that was no row of the file", () => {
    expect(toCalls([{ line: 7, problem: "has 3 fields", row: {} }]).bad).toEqual([
      { line: 7, problems: ["has 3 fields"] },
    ]);
  });
});

it("requires the columns that it reads", () => {
  const optional = new Set(["location"]);
  expect(new Set(REQUIRED_COLUMNS)).toEqual(new Set(Object.keys(ROW).filter((name) => !optional.has(name))));
});
