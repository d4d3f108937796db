import { expect, test } from "vitest";
import { runScript } from "../../tools/setup/run-script.ts";

const LONG_MS = 180_000;
const simulate = (...args: string[]) => runScript("tools/simulate/main.ts", args, {}).ended;

async function digests(seed: number): Promise<string[] | null> {
  const { output } = await simulate("--schedules", "5", "--seed", String(seed), "--digests");
  return output.match(/^digest .*$/gm);
}

test("every schedule of a fixed set holds", { timeout: LONG_MS }, async () => {
  const { code, output } = await simulate("--schedules", "150", "--seed", "1");
  expect(output).toContain("every schedule holds");
  expect(code).toBe(0);
});

test("a seed gives the same run twice, byte for byte, and another seed another run", { timeout: LONG_MS }, async () => {
  const first = await digests(7);
  expect(first).toHaveLength(5);
  expect(await digests(7)).toEqual(first);
  expect(await digests(8)).not.toEqual(first);
});
