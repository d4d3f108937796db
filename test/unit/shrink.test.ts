import { expect, test } from "vitest";
import { shrink } from "../support/shrink.ts";

const list = Array.from({ length: 40 }, (_, i) => i);

test.each([
  ["one", (part: readonly number[]) => part.includes(17), [17]],
  ["two that have to be together", (part: readonly number[]) => part.includes(3) && part.includes(31), [3, 31]],
  ["any of them", () => true, [39]],
])("a list that fails by %s is shrunk to that", async (_what, fails, smallest) => {
  let asked = 0;
  const found = await shrink(list, async (part) => {
    asked += 1;
    return fails(part);
  });
  expect(found).toEqual(smallest);
  expect(asked).toBeLessThan(200);
});
