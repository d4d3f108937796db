import { describe, expect, test } from "vitest";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import { toCloudEvent } from "../../worker/destinations/cloud-event.ts";
import { compileFilter } from "../../worker/destinations/filter.ts";
import { nameMatches } from "../../shared/journal/filter.ts";
import { matches, onceKey, pick, type Rule } from "../../worker/destinations/rule.ts";

const entry = (more: Partial<JournalEntry> = {}): JournalEntry => ({
  id: "1700000000000-0",
  cad: "http://cad.internal:5000",
  kind: "event",
  event: "unit:status:updated",
  keys: ["unit:M12", "incident:I1"],
  payload: { unitId: "M12", status: "enroute", priority: 1, crew: ["a", "b"], patient: { name: "Jane", age: 7 } },
  occurredAt: 1_700_000_000_000_000,
  receivedAt: 1_700_000_001_000_000,
  size: 10,
  eventId: undefined,
  own: undefined,
  recovered: undefined,
  wrong: [],
  ...more,
});
const rule = (more: Partial<Rule> = {}): Rule => ({
  at: "rules[0]",
  events: ["*"],
  filter: undefined,
  ownEchoes: true,
  fields: undefined,
  once: undefined,
  ...more,
});

test.each([
  ["*", "unit:status:updated", true],
  ["unit:*", "unit:status:updated", true],
  ["*:updated", "unit:status:updated", true],
  ["unit:*:updated", "unit:status:updated", true],
  ["unit:**", "unit:status:updated", true],
  ["unit:status:updated", "unit:status:updated", true],
  ["unit", "unit:status:updated", false],
  ["u*u*u*d", "unit:status:updated", true],
  ["unit:status:updated*updated", "unit:status:updated", false],
  ["*status*status*", "unit:status:updated", false],
  ["unit:status", "unit:status:updated", false],
  ["incident:*", "unit:status:updated", false],
  ["unit.status.updated", "unit:status:updated", false],
  ["transport:*", "transport:completed\n", true],
])("the pattern %s fits %j: %s", (pattern, event, expected) => expect(nameMatches(event, pattern)).toBe(expected));

test("a pattern of many stars takes no time", () => {
  const started = performance.now();
  expect(nameMatches("a".repeat(100), "*a*a*a*a*a*a*b")).toBe(false);
  expect(performance.now() - started).toBeLessThan(1000);
});

test.each([
  ["an event of another name", rule({ events: ["incident:*"] }), entry(), false],
  ["one of several names", rule({ events: ["incident:*", "unit:*"] }), entry(), true],
  ["an own echo", rule(), entry({ own: "c1" }), true],
  ["an own echo that is not wanted", rule({ ownEchoes: false }), entry({ own: "c1" }), false],
  ["a malformed payload", rule(), entry({ kind: "malformed" }), false],
  ["unknown event", rule(), entry({ kind: "unknown", keys: ["other"] }), true],
  [
    "what the bridge says itself",
    rule({ events: ["bridge:gap"] }),
    entry({ kind: "bridge", event: "bridge:gap" }),
    true,
  ],
])("%s matches: %s", (_what, given, taken, expected) => expect(matches(given, taken)).toBe(expected));

const says = (expression: string, taken = entry()) => {
  const compiled = compileFilter(expression);
  if ("error" in compiled) throw new Error(compiled.error);
  return compiled.filter(taken);
};

describe("a filter", () => {
  test.each([
    ["payload.priority == 1", true],
    ["payload.priority <= 2 && payload.status in ['enroute', 'onscene']", true],
    ["unit == 'M12' && incident == 'I1'", true],
    ["unit == 'M13'", false],
    ["own_command == null", true],
    ["has(payload.missing) && payload.missing == 1", false],
    ["payload.crew.exists(c, c == 'b')", true],
    ["payload.patient.age < 18", true],
    ["event.startsWith('unit:')", true],
  ])("%s says %s", (expression, expected) => expect(says(expression)).toBe(expected));

  test.each(["payload.missing == 1", "payload.status > 3", "payload.status", "payload.constructor.name == 'x'"])(
    "%s cannot tell, and throws",
    (expression) => expect(() => says(expression)).toThrow(),
  );
  test.each([
    ["a pattern that goes back and forth", "payload.text.matches('^(a+)+$')"],
    ["a list within a list", "payload.list.exists(a, payload.list.exists(b, a + b < 0))"],
  ])("%s is stopped, and what comes next is asked as ever", (_what, expression) => {
    const compiled = compileFilter(expression);
    if ("error" in compiled) throw new Error(compiled.error);
    const hostile = { text: `${"a".repeat(50)}!`, list: Array.from({ length: 50_000 }, (_, i) => i) };
    const started = performance.now();
    expect(() => compiled.filter(entry({ payload: hostile }))).toThrow("longer than 100 ms");
    expect(performance.now() - started).toBeLessThan(2000);
    expect(compiled.filter(entry({ payload: { text: "aaa", list: [-1] } }))).toBe(true);
  });
  test("a payload that is no object makes it throw, not crash", () => {
    for (const payload of [null, "text", 7, []])
      expect(() => says("payload.priority == 1", entry({ payload }))).toThrow();
  });
  test.each(["payload.x +", "nobody.x == 1", "1 + 1", "event == 1", "'text'"])(
    "%s is refused when it is compiled",
    (bad) => expect(compileFilter(bad)).toHaveProperty("error"),
  );
});

describe("fields", () => {
  test.each([
    [["unitId"], { unitId: "M12" }],
    [["patient.age", "unitId"], { patient: { age: 7 }, unitId: "M12" }],
    [["patient.age", "patient"], { patient: { name: "Jane", age: 7 } }],
    [["patient", "patient.age"], { patient: { name: "Jane", age: 7 } }],
    [["crew"], { crew: ["a", "b"] }],
    [["missing", "patient.missing", "unitId.length"], {}],
    [["constructor", "toString", "patient.hasOwnProperty"], {}],
  ])("%j leave nothing but %j", (fields, expected) => expect(pick(entry().payload, fields)).toEqual(expected));

  test("the payload itself is not changed", () => {
    const { payload } = entry();
    pick(payload, ["patient", "patient.age"]);
    expect(payload).toEqual(entry().payload);
  });
  test.each([null, "text", 7])("of a payload that is %s nothing is left", (payload) =>
    expect(pick(payload, ["a"])).toEqual({}),
  );
});

test("once: the same for the same values in whatever form, another for others and for other events", () => {
  const fields = ["incidentId", "epcrId"];
  const key = (payload: unknown, event = "e") => onceKey(event, payload, fields);
  expect(key({ incidentId: 7, epcrId: "E" })).toBe(key({ epcrId: "E", incidentId: "7", more: 1 }));
  expect(key({ incidentId: "7" })).toBe(key({ incidentId: "7", epcrId: null }));
  const others = [
    { incidentId: "7", epcrId: "E" },
    { incidentId: "7" },
    { epcrId: "7" },
    { incidentId: "E", epcrId: "7" },
  ];
  expect(new Set([...others.map((o) => key(o)), key(others[0], "f")]).size).toBe(5);
  for (const none of [{}, { incidentId: null }, null, "text"]) expect(key(none)).toBeUndefined();
});

const event = (more: Partial<JournalEntry> = {}, data: unknown = { a: 1 }) =>
  JSON.parse(toCloudEvent(entry(more), "urn:socket-bridge:x", data)) as Record<string, unknown>;

describe("a CloudEvent", () => {
  test("has the attributes of the entry, and not the address of the CAD", () => {
    expect(event()).toEqual({
      specversion: "1.0",
      id: "1700000000000-0",
      source: "urn:socket-bridge:x",
      type: "unit:status:updated",
      subject: "unit:M12",
      time: "2023-11-14T22:13:20.000Z",
      datacontenttype: "application/json",
      dataschema: "urn:socket-bridge:schema:unit:status:updated:1",
      dataclassification: "operational",
      data: { a: 1 },
    });
  });
  test("names the schema of its data and whether it may contain PHI", () => {
    expect(event({ event: "incident:new" })).toMatchObject({ dataclassification: "phi" });
    expect(event({ event: "some:event" })).toMatchObject({ dataclassification: "phi" });
    expect(event({ event: "some:event" })).not.toHaveProperty("dataschema");
    const part = toCloudEvent(entry({ event: "incident:new" }), "urn:x", {}, ["incidentId"]);
    expect(JSON.parse(part)).toMatchObject({
      dataclassification: "operational",
      dataschema: "urn:socket-bridge:schema:incident:new:1#/$defs/partial",
    });
  });
  test("names the command it echoes, whether it was recovered, and the time of receipt if it has no time of its own", () => {
    expect(event({ own: "c1", recovered: true, occurredAt: undefined })).toMatchObject({
      owncommand: "c1",
      recovered: true,
      time: "2023-11-14T22:13:21.000Z",
    });
    expect(event({ keys: ["other"] })).not.toHaveProperty("subject");
  });
  test.each([null, "text", 7, [1], true])("takes a payload that is %j", (data) =>
    expect(event({}, data)["data"]).toEqual(data),
  );
});
