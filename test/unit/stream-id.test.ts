import { expect, test } from "vitest";
import { compareIds, idAfter, idBefore, isEntryId, START } from "../../shared/redis/stream-id.ts";

test.each([
  ["1-0", "1-0", 0],
  ["1-0", "2-0", -1],
  ["2-0", "1-9", 1],
  ["1-9", "1-10", -1],
  ["9-0", "10-0", -1],
  [START, "1-0", -1],
  ["1767225600000-9007199254740993", "1767225600000-9007199254740992", 1],
  ["9007199254740993-0", "9007199254740992-0", 1],
])("compares %s with %s as numbers, exactly: %i", (a, b, order) => {
  expect(Math.sign(compareIds(a, b))).toBe(order);
  expect(Math.sign(compareIds(b, a))).toBe(order === 0 ? 0 : -order);
});

test.each(["1-0", "1767225600000-12", "5-9007199254740991", "5-9007199254740993"])(
  "%s comes right before the id after it and after the id before it",
  (id) => {
    expect(compareIds(idAfter(id), id)).toBe(1);
    expect(compareIds(idBefore(id), id)).toBe(-1);
    expect(idBefore(idAfter(id))).toBe(id);
  },
);

test.each([
  ["1-0", true],
  ["1767225600000-12", true],
  ["1", false],
  ["-1-0", false],
  ["1-0 ", false],
  ["12345678901234567-0", false],
])("%s is the id of an entry: %s", (text, is) => {
  expect(isEntryId(text)).toBe(is);
});
