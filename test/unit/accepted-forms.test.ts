import { describe, expect, test } from "vitest";
import { redriveBody } from "../../functions/routes/dead-letters.ts";
import { schemaOf } from "../../functions/openapi/parts.ts";
import { wrongFields } from "../../functions/http/problem.ts";
import type { Context } from "../../shared/commands/command.ts";
import { commandNamed, commands } from "../../shared/commands/table.ts";
import type { NaiveTimes } from "../../shared/vocabulary/fields.ts";
import {
  INCIDENT_STATUS_WORDS,
  INCIDENT_STATUSES,
  PRIORITIES,
  priorityOf,
  UNIT_STATUSES,
} from "../../shared/vocabulary/words.ts";

/** The forms in which the platform's services write their commands, and what the CAD gets for each. */

const CONTEXT: Context = {
  commandId: "c1",
  userId: "the-subject",
  role: "dispatcher",
  issuedAt: "2026-01-31T22:00:12.000000Z",
};
type Json = Record<string, unknown>;

function command(name: string) {
  const found = commandNamed(name);
  if (!found) throw new Error(`there is no command ${name}`);
  return found;
}

/** What goes over the wire for a body, as JSON has it. */
function onTheWire(name: string, body: Json): Json {
  const { body: schema, wire } = command(name);
  // A stored body was written as JSON and read again.
  const stored: unknown = JSON.parse(JSON.stringify(schema.parse(body)));
  return JSON.parse(JSON.stringify(wire(stored, CONTEXT).payload)) as Json;
}

const faults = (name: string, body: unknown) => wrongFields(command(name).body.safeParse(body).error?.issues ?? []);

const bodyOf = (name: string): Json => command(name).examples[0].body;
const withoutField = (body: Json, field: string): Json =>
  Object.fromEntries(Object.entries(body).filter(([name]) => name !== field));

interface InputSchema {
  properties: Record<string, { anyOf?: { type?: string }[] }>;
  required?: string[];
}
const inputOf = (name: string) => schemaOf(command(name).body, "input") as unknown as InputSchema;

/** Every optional field of every command. */
const optionalFields = commands.flatMap(({ name }) => {
  const { properties, required = [] } = inputOf(name);
  return Object.keys(properties)
    .filter((field) => !required.includes(field))
    .map((field) => [name, field] as const);
});

describe("null in a request", () => {
  test("there are optional fields to try", () => expect(optionalFields.length).toBeGreaterThan(10));

  test.each(optionalFields)("%s takes null for %s as absent, and OpenAPI says so", (name, field) => {
    const absent = withoutField(bodyOf(name), field);
    const { body } = command(name);
    expect(body.parse({ ...absent, [field]: null })).toEqual(body.parse(absent));
    expect(onTheWire(name, { ...absent, [field]: null })).toEqual(onTheWire(name, absent));
    expect(inputOf(name).properties[field]?.anyOf).toContainEqual({ type: "null" });
  });

  test.each(commands.map((c) => [c.name, (inputOf(c.name).required ?? [])[0] ?? ""]))(
    "%s refuses null for %s, which is required, as it refuses its absence",
    (name, field) => {
      const absent = withoutField(bodyOf(name), field);
      expect(faults(name, { ...absent, [field]: null })).toEqual(faults(name, absent));
      expect(faults(name, absent)).toMatchObject([{ pointer: `/${field}` }]);
    },
  );

  test("a field that is not known is ignored while it is null, and refused otherwise", () => {
    const body = bodyOf("units/status");
    expect(faults("units/status", { ...body, notes: null })).toEqual([]);
    expect(faults("units/status", { ...body, notes: "x" })).toMatchObject([{ pointer: "/notes" }]);
  });

  test("a place with nulls beside its own fields is that place", () => {
    const location = { lat: 37.7, lng: -122.4, latitude: null };
    expect(onTheWire("incidents", { ...bodyOf("incidents"), location })["location"]).toEqual({
      type: "Point",
      coordinates: [-122.4, 37.7],
    });
  });

  test.each([
    ["transport/completed", "billing_data", "billingData"],
    ["transport/completed", "destination", "destination"],
    ["incidents", "details", "details"],
    ["metrics/broadcast", "metrics", "metrics"],
  ])("of %s, the object %s goes along with its nulls", (name, field, wire) => {
    const given = { a: null, b: { c: null } };
    expect(onTheWire(name, { ...bodyOf(name), [field]: given })[wire]).toEqual(given);
  });

  test("an incident without what is optional is announced with its three fields alone", () => {
    const body = { incident_id: 7, incident_type: "Fall", priority: 2, address: null, details: null, location: null };
    expect(onTheWire("incidents", body)).toEqual({ incidentId: "7", type: "Fall", priority: 2 });
  });

  test("a redrive takes null for every filter", () => {
    const nulls = { command: null, destination: null, unit: null, since: null, limit: null, dry_run: null };
    expect(redriveBody.parse(nulls)).toEqual(redriveBody.parse({}));
  });

  test.each([[null], [[]], ["x"], [7]])("a body that is %j is no object", (body) =>
    expect(faults("units/status", body)).toMatchObject([{ pointer: "" }]),
  );
});

describe("ids in a request", () => {
  const ids = commands.flatMap(({ name, examples }) =>
    Object.keys(examples[0].body).flatMap((field) => (field.endsWith("_id") ? [[name, field] as const] : [])),
  );

  test.each(ids)("%s takes an integer as %s, and makes it text", (name, field) => {
    const { body, keys } = command(name);
    const number = body.parse({ ...bodyOf(name), [field]: 4711 });
    const text = body.parse({ ...bodyOf(name), [field]: "4711" });
    expect(number).toEqual(text);
    expect(keys(number)).toEqual(keys(text));
  });

  test.each([
    [Number.MAX_SAFE_INTEGER, "9007199254740991"],
    [0, "0"],
    [-1, "-1"],
    ["007", "007"],
  ])("%j is the id %s", (unit, id) =>
    expect(onTheWire("units/status", { unit_id: unit, status: "available" })["unitId"]).toBe(id),
  );

  test.each([[1.5], [2 ** 53], [-(2 ** 53)], [true], [{}], [["M1"]], [""], [" M1"], ["x".repeat(201)]])(
    "%j is no id",
    (id) =>
      expect(faults("units/status", { unit_id: id, status: "available" })).toMatchObject([{ pointer: "/unit_id" }]),
  );
});

const incident = (priority: unknown) => ({ ...bodyOf("incidents"), priority });

describe("priorities in a request", () => {
  test.each<[unknown, number]>([
    [1, 1],
    [5, 5],
    ["1", 1],
    ["2", 2],
    ["5", 5],
    ["EMERGENCY", 1],
    ["emergency", 1],
    ["Urgent", 2],
    ["ROUTINE", 3],
    ["scheduled", 4],
  ])("%j is sent as %i", (given, sent) => {
    expect(onTheWire("incidents", incident(given))["priority"]).toBe(sent);
    expect(priorityOf(given)).toBe(sent);
  });

  test.each([[0], [6], [1.5], ["0"], ["6"], ["01"], [" 2"], [""], ["HIGH"], ["constructor"], [true], [[1]]])(
    "%j is refused, with what is known",
    (given) => {
      const [fault, ...more] = faults("incidents", incident(given));
      expect(more).toEqual([]);
      expect(fault).toMatchObject({ pointer: "/priority", detail: expect.stringMatching(/1 to 5.*emergency/) });
      expect(priorityOf(given)).toBeUndefined();
    },
  );
});

/** The vocabularies as the platform's clients have them; written by hand. */
const UNIT_WORDS = `available enroute onscene transport hospital unavailable dispatched
  AVAILABLE EN_ROUTE AT_FACILITY TRANSPORTING OUT_OF_SERVICE OFF_DUTY
  en_route_to_origin at_origin transporting at_destination
  assigned en_route at_scene at_facility out_of_service acknowledged`.split(/\s+/);

describe("statuses in a request", () => {
  test.each(UNIT_WORDS)("a unit's status %s is sent as it is, in lower case", (status) =>
    expect(onTheWire("units/status", { unit_id: "M1", status })["status"]).toBe(status.toLowerCase()),
  );

  test.each([
    ["Out of Service", "out_of_service"],
    ["off-duty", "off_duty"],
    ["EnRoute", "enroute"],
  ])("a unit's status %j is spelled %s", (status, sent) =>
    expect(onTheWire("units/status", { unit_id: "M1", status })["status"]).toBe(sent),
  );

  test.each([
    ["COMPLETED", "completed"],
    ["Pending", "pending"],
    ["en_route", "en_route"],
    ["enroute", "en_route"],
    ["onscene", "at_facility"],
    ["at_scene", "at_facility"],
    ["transport", "transporting"],
    ["hospital", "arrived_destination"],
    ["at_destination", "arrived_destination"],
    ["dispatched", "assigned"],
    ["CANCELED", "cancelled"],
    ["acknowledged", "acknowledged"],
    ["closed", "closed"],
  ])("an incident's status %s is sent as %s", (status, sent) =>
    expect(onTheWire("incidents/status", { incident_id: "I", status, user_id: "u" })["status"]).toBe(sent),
  );

  test.each([
    ["units/status", { unit_id: "M1" }, UNIT_STATUSES],
    ["incidents/status", { incident_id: "I" }, Object.keys(INCIDENT_STATUS_WORDS)],
  ] as const)("%s refuses an unknown word with the list of those that it knows, within bounds", (name, rest, words) => {
    for (const status of ["lunch", "constructor", "", "x".repeat(100_000), 7, true, ["available"]]) {
      const [fault, ...more] = faults(name, { ...rest, status });
      expect(more).toEqual([]);
      expect(fault?.pointer).toBe("/status");
      for (const word of words) expect(fault?.detail).toContain(word);
      expect(fault?.detail.length).toBeLessThan(500);
    }
    expect(faults(name, rest)).toEqual([{ pointer: "/status", detail: "is required" }]);
  });

  test("every word for an incident becomes one that the CAD's clients know, or stays as it is", () => {
    for (const [word, sent] of Object.entries(INCIDENT_STATUS_WORDS))
      expect([...INCIDENT_STATUSES, word], word).toContain(sent);
    expect(Object.values(PRIORITIES).every((n) => n >= 1 && n <= 5)).toBe(true);
  });
});

describe("optional fields", () => {
  test("transport_type", () => {
    const body = withoutField(bodyOf("transport/completed"), "transport_type");
    expect(onTheWire("transport/completed", body)).not.toHaveProperty("transportType");
  });

  test.each(["incidents", "assignments/send"])("the address of %s: an empty one counts as none", (name) => {
    const absent = withoutField(bodyOf(name), "address");
    for (const body of [absent, { ...absent, address: "" }, { ...absent, address: " \n" }])
      expect(JSON.stringify(onTheWire(name, body))).not.toContain("address");
    expect(JSON.stringify(onTheWire(name, { ...absent, address: " 1 Main St" }))).toContain('"address":" 1 Main St"');
  });

  test("user_id, which is the token's subject then", () => {
    const body = { incident_id: "I", status: "completed" };
    expect(onTheWire("incidents/status", body)["userId"]).toBe("the-subject");
    expect(onTheWire("incidents/status", { ...body, user_id: 12 })["userId"]).toBe("12");
  });
});

const timed = (timestamp: string) => ({ incident_id: "I", field: "onscene_at", timestamp });

describe("times without an offset", () => {
  const now = new Date("2026-01-31T14:00:00Z");
  const checked = (timestamp: string, naiveTimes: NaiveTimes) => {
    const { body: schema, check } = command("incidents/timestamp");
    return check?.(schema.parse(timed(timestamp)), { now, naiveTimes }) ?? [];
  };

  test.each(["2026-01-31T14:05:00", "2026-01-31T14:05:00.123456", "2026-01-31T14:05"])(
    "%s is refused with a word of NAIVE_TIMES, and is UTC where that says so",
    (time) => {
      expect(checked(time, "refuse")).toEqual([
        { path: ["timestamp"], message: expect.stringMatching(/no offset.*NAIVE_TIMES=utc/) },
      ]);
      expect(checked(time, "utc")).toEqual([]);
      expect(onTheWire("incidents/timestamp", timed(time))["timestamp"]).toBe(`${time}Z`);
    },
  );

  test.each(["2026-01-31T14:05:00Z", "2026-01-31T06:05:00-08:00", "2026-01-31T14:05:00.5+00:00"])(
    "%s has one, and is sent as it is",
    (time) => {
      for (const naive of ["refuse", "utc"] as const) expect(checked(time, naive)).toEqual([]);
      expect(onTheWire("incidents/timestamp", timed(time))["timestamp"]).toBe(time);
    },
  );

  test("one that is read as UTC may be an hour ahead at most, whatever this machine's time zone", () => {
    expect(checked("2026-01-31T14:59:59", "utc")).toEqual([]);
    expect(checked("2026-01-31T15:00:01", "utc")).toMatchObject([{ message: expect.stringContaining("future") }]);
  });

  test.each(["2026-01-31 14:05:00", "2026-01-31", "2026-02-30T00:00:00", "1769868300", ""])("%j is no time", (time) =>
    expect(faults("incidents/timestamp", timed(time))).toMatchObject([{ pointer: "/timestamp" }]),
  );
});
