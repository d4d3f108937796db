import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readKills } from "../../tools/simulate/kill.ts";
import { MUTANTS } from "../../tools/simulate/mutants.ts";

const ROOT = join(import.meta.dirname, "../..");

describe("the bugs that the simulation seeds", () => {
  test("are at least 15", () => {
    expect(Object.keys(MUTANTS).length).toBeGreaterThanOrEqual(15);
  });

  test("have each a recorded schedule that reveals it", () => {
    expect(Object.keys(readKills())).toEqual(Object.keys(MUTANTS).toSorted());
  });

  test.each(Object.entries(MUTANTS))("%s changes texts that stand in the source once each", (_, { changes }) => {
    for (const [file, from] of changes)
      expect(readFileSync(join(ROOT, file), "utf8").split(from), `${file}: ${from}`).toHaveLength(2);
  });
});
