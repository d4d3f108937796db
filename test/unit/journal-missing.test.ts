import { expect, test } from "vitest";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import { withMissing } from "../../shared/journal/read.ts";

const entry = (n: number | undefined, forged = false) => ({ n, ...(forged && { forged }) }) as JournalEntry;

/** The numbers of entries as they are read, and how many are missing before each. */
test.each<[string, before: JournalEntry | undefined, JournalEntry[], missing: (number | undefined)[]]>([
  ["none is missing", entry(4), [entry(5), entry(6)], [undefined, undefined]],
  ["one between two", entry(4), [entry(5), entry(7)], [undefined, 1]],
  ["some after the page before", entry(4), [entry(8)], [3]],
  ["what was before the first page is not known", undefined, [entry(8), entry(9)], [undefined, undefined]],
  ["one that was changed is missing where it was", entry(4), [entry(9, true), entry(6)], [undefined, 1]],
  [
    "entries of a version before have no number",
    entry(undefined),
    [entry(undefined), entry(1)],
    [undefined, undefined],
  ],
])("%s", (_name, before, entries, missing) => {
  expect(withMissing(before, entries).map((one) => one.missing)).toEqual(missing);
});
