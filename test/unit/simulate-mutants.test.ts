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

  test("are those that a recorded schedule reveals", () => {
    expect(Object.keys(MUTANTS)).toEqual(expect.arrayContaining(Object.keys(readKills())));
  });

  test.each(Object.entries(MUTANTS))("%s changes texts that stand in the source once each", (_, { changes }) => {
    for (const [file, from] of changes)
      expect(readFileSync(join(ROOT, file), "utf8").split(from), `${file}: ${from}`).toHaveLength(2);
  });
});
