import { expect, test } from "vitest";
import { chosenCad, chosenCads, refuseCad } from "../../tools/support/several-cads.ts";

const CADS = [{ id: "north" }, { id: "south" }];

test("all CADs, unless one is named", () => {
  expect(chosenCads(CADS, undefined)).toEqual(CADS);
  expect(chosenCads(CADS, "south")).toEqual([{ id: "south" }]);
});

test("actions on one CAD use the named one, or the only one", () => {
  expect(chosenCad(CADS, "south")).toEqual({ id: "south" });
  expect(chosenCad(CADS.slice(0, 1), undefined)).toEqual({ id: "north" });
});

test.each<[what: string, choose: () => unknown, said: string]>([
  ["a CAD that is not in the file", () => chosenCads(CADS, "east"), "CADS_FILE has no CAD east; it has north, south"],
  ["not to name one of several", () => chosenCad(CADS, undefined), "name one of north, south with --cad"],
  ["to name a CAD without a file", () => refuseCad("north"), "there is no CADS_FILE"],
])("it is refused, with what there is instead: %s", (_, choose, said) => {
  expect(choose).toThrow(said);
});
