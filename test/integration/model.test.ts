import { expect, test } from "vitest";
import { MODELS } from "../../tools/model/models.ts";
import { MUTANTS } from "../../tools/model/mutants.ts";
import { runScript } from "../../tools/setup/run-script.ts";

const LONG_MS = 300_000;

test(
  "npm run model explores every scenario to its end and finds no broken invariant",
  { timeout: LONG_MS },
  async () => {
    const { code, output } = await runScript("tools/model/main.ts", [], {}).ended;
    expect(output.match(/^holds .* \d+ states/gm)).toHaveLength(MODELS.length);
    expect(code).toBe(0);
  },
);

test("npm run model -- --mutants finds every bug that is seeded", { timeout: LONG_MS }, async () => {
  const { code, output } = await runScript("tools/model/main.ts", ["--mutants"], {}).ended;
  expect(output).toContain(`${Object.keys(MUTANTS).length} found, 0 survive`);
  expect(code).toBe(0);
});
