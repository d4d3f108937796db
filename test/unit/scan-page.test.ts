import { expect, test } from "vitest";
import { type Scan, scanPage } from "../../shared/util/scan-page.ts";

type Numbers = Scan<number, number, number>;
/** The numbers from 1 to `count` in chunks of 4, of which those match that `of` divides. */
function numbers({ count = 10, of = 1, ...more }: Partial<Numbers> & { count?: number; of?: number }) {
  const looked: number[] = [];
  const scan: Numbers = {
    read: async (after = 0) => {
      const rows = Array.from({ length: Math.min(4, count - after) }, (_, i) => after + i + 1);
      return { rows, more: rows.length === 4 };
    },
    match: (rows) =>
      rows.map((row) => {
        looked.push(row);
        return row % of === 0 ? row : undefined;
      }),
    cursorOf: (row) => row,
    after: undefined,
    limit: 100,
    lookAt: 1000,
    ...more,
  };
  return { scan, looked };
}

const CASES: [string, Parameters<typeof numbers>[0], { found: number[]; next: number | undefined }][] = [
  ["holds everything if that is little", { count: 3 }, { found: [1, 2, 3], next: undefined }],
  ["is empty and the last one where nothing is", { count: 0 }, { found: [], next: undefined }],
  ["ends at the limit, in the middle of a chunk", { limit: 6 }, { found: [1, 2, 3, 4, 5, 6], next: 6 }],
  ["ends at the limit, with what matches", { limit: 2, of: 3 }, { found: [3, 6], next: 6 }],
  ["begins behind the page before", { after: 6, limit: 3 }, { found: [7, 8, 9], next: 9 }],
  [
    "is the last one if it ends with the last row",
    { limit: 10 },
    { found: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], next: undefined },
  ],
  ["is the last one if nothing after it matches", { limit: 1, count: 11, of: 9 }, { found: [9], next: undefined }],
  ["ends after so many rows, whatever matched", { lookAt: 5, of: 4 }, { found: [4], next: 5 }],
  ["may be empty although rows follow", { lookAt: 5, of: 9 }, { found: [], next: 5 }],
  ["ends at its size, which the last may exceed", { maxSize: 4, sizeOf: (n) => n }, { found: [1, 2, 3], next: 3 }],
  ["ends where a full chunk is followed by none", { count: 8, of: 5 }, { found: [5], next: undefined }],
];

test.each(CASES)("a page %s", async (_, given, page) => {
  expect(await scanPage(numbers(given).scan)).toEqual(page);
});

test("all pages together hold every match once", async () => {
  const seen: number[] = [];
  for (let after: number | undefined, pages = 0; pages < 20; pages += 1) {
    const page = await scanPage(numbers({ after, limit: 3, count: 23, of: 2 }).scan);
    seen.push(...page.found);
    after = page.next;
    if (after === undefined) break;
  }
  expect(seen).toEqual([2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]);
});

test("rows that a match leaves open are asked about again, with the room that is left", async () => {
  const asked: [readonly number[], number][] = [];
  const { scan } = numbers({
    limit: 3,
    match(rows, room) {
      asked.push([rows, room]);
      return rows.slice(0, 2).map((row) => (row % 2 === 0 ? row : undefined));
    },
  });
  expect(await scanPage(scan)).toEqual({ found: [2, 4, 6], next: 6 });
  expect(asked).toEqual([
    [[1, 2, 3, 4], 3],
    [[3, 4], 2],
    [[5, 6, 7, 8], 1],
  ]);
});
