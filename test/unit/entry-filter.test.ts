import { expect, test } from "vitest";
import { nameMatches } from "../../shared/journal/filter.ts";
import { lookAtMost } from "../../shared/journal/pages.ts";

test.each([
  ["unit:status:updated", "unit:status:updated", true],
  ["unit:status:updated", "unit:status", false],
  ["unit:status:updated", "*", true],
  ["", "*", true],
  ["unit:status:updated", "unit:*", true],
  ["incident:new", "unit:*", false],
  ["unit:status:updated", "*:updated", true],
  ["unit:status:updated", "unit:*:updated", true],
  ["unit:updated", "unit:*:updated", false],
  ["aba", "ab*ba", false],
  ["abba", "ab*ba", true],
  ["a.c", "a?c", false],
  ["a+b", "a+b", true],
  ["axbxc", "a*x*c", true],
  ["axc", "a*x*x*c", false],
  ["a", "**", true],
])("%s fits %s: %s", (name, pattern, fits) => {
  expect(nameMatches(name, pattern)).toBe(fits);
});

test("a pattern of many stars takes no longer than any other", () => {
  const began = performance.now();
  expect(nameMatches("a".repeat(100), `${"*a".repeat(100)}*b`)).toBe(false);
  expect(performance.now() - began).toBeLessThan(50);
});

test.each([
  [{}, 5000],
  [{ events: ["unit:*"] }, 5000],
  [{ events: Array(50).fill("a*b*c") }, 500],
  [{ events: Array(50).fill("a"), units: Array(50).fill("M1"), incidents: Array(50).fill("I1") }, 167],
])("the more a filter names, the fewer entries one request looks at", (filter, most) => {
  expect(lookAtMost(filter)).toBe(most);
});
