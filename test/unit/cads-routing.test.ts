import { check, property, assert as hold, stringMatching } from "fast-check";
import { describe, expect, test } from "vitest";
import { contains, matches, overlap } from "../../shared/cads/pattern.ts";
import { type About, createRoutingTable, decide } from "../../shared/cads/routing.ts";

const TABLE = createRoutingTable([
  { id: "north", owns: { units: ["N*", "M12"], organisations: ["north-fire", "shared"] } },
  { id: "south", owns: { units: ["S*", "N7*"], organisations: ["shared"] } },
  { id: "special", owns: { units: ["N77", "*-AIR"] } },
]);
const WITH_ALL = createRoutingTable([
  { id: "north", owns: { units: ["N*"] } },
  { id: "rest", owns: "everything" },
]);

test.each([
  ["N1", "north"],
  ["M12", "north"],
  ["M1", undefined],
  ["N7", "south"],
  ["N71", "south"],
  ["N77", "special"],
  ["X-AIR", "special"],
  ["n1", undefined],
  ["", undefined],
])("unit %j belongs to %s", (unit, cad) => {
  expect(TABLE.ofUnit(unit)).toBe(cad);
});

const about = (more: Partial<About>): About => ({
  units: [],
  incidentSeenIn: undefined,
  organisation: undefined,
  ...more,
});

describe("decides", () => {
  test.each<[what: string, about: Partial<About>, cad: string, by: string]>([
    ["by the unit", { units: ["S1"] }, "south", "unit"],
    ["by the unit, whatever the incident", { units: ["S1"], incidentSeenIn: "north" }, "south", "unit"],
    ["by the unit, whatever the organisation", { units: ["S1"], organisation: "north-fire" }, "south", "unit"],
    ["by the incident without a unit", { incidentSeenIn: "south", organisation: "north-fire" }, "south", "incident"],
    [
      "by the organisation for a unit nobody owns",
      { units: ["X"], incidentSeenIn: "south", organisation: "north-fire" },
      "north",
      "organisation",
    ],
    ["by the organisation with neither", { organisation: "north-fire" }, "north", "organisation"],
  ])("%s", (_, given, cad, by) => {
    expect(decide(TABLE, about(given))).toEqual({ cad, by });
  });

  test.each<[what: string, about: Partial<About>]>([
    ["a unit nobody owns", { units: ["X"] }],
    ["a unit nobody owns, of an incident seen elsewhere", { units: ["X"], incidentSeenIn: "north" }],
    ["nothing at all", {}],
    ["an organisation of two CADs", { organisation: "shared" }],
    ["an organisation nobody knows", { organisation: "other" }],
    ["units of two CADs", { units: ["N1", "S1"] }],
  ])("not for %s", (_, given) => {
    expect(decide(TABLE, about(given))).toHaveProperty("undecided");
  });

  test("for the CAD that owns everything what no other one does", () => {
    expect(decide(WITH_ALL, about({ units: ["X"] }))).toEqual({ cad: "rest", by: "everything" });
    expect(decide(WITH_ALL, about({ units: ["N1"] }))).toEqual({ cad: "north", by: "unit" });
    expect(decide(WITH_ALL, about({}))).toEqual({ cad: "rest", by: "everything" });
  });
});

const asRegExp = (text: string) => new RegExp(`^${text.replaceAll("*", ".*")}$`);

describe("patterns", () => {
  const pattern = stringMatching(/^[ab*]{1,6}$/);
  const unit = stringMatching(/^[ab]{0,7}$/);

  test("match what a regular expression does", () => {
    hold(property(pattern, unit, (p, u) => matches(p, u) === asRegExp(p).test(u)));
  });

  test("one that contains another matches all that it matches, and both overlap", () => {
    hold(
      property(pattern, pattern, unit, (p, q, u) => {
        if (contains(p, q) && matches(q, u)) expect(matches(p, u)).toBe(true);
        if (matches(p, u) && matches(q, u)) expect(overlap(p, q)).toBe(true);
        if (contains(p, q)) expect(overlap(p, q)).toBe(true);
      }),
    );
  });

  test("one that does not contain another misses a unit of it", () => {
    hold(
      property(pattern, pattern, (p, q) => {
        if (contains(p, q)) return;
        // What a `*` stands for is free: a character that no pattern names shows the difference.
        const unitOfQ = q.replaceAll("*", "z");
        expect(asRegExp(q).test(unitOfQ)).toBe(true);
        expect(asRegExp(p).test(unitOfQ)).toBe(false);
      }),
    );
  });

  test("a long one is compared in bounded time", () => {
    const one = "*a".repeat(50);
    const from = performance.now();
    expect(overlap(one, `${"*b".repeat(49)}*`)).toBe(true);
    expect(matches(one, "a".repeat(2000) + "b")).toBe(false);
    expect(performance.now() - from).toBeLessThan(1000);
  });

  test("the properties can fail", () => {
    expect(check(property(pattern, unit, (p, u) => matches(p, u))).failed).toBe(true);
  });
});
