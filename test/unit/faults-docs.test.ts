import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { renderProof } from "../../tools/chaos/proof.ts";

test("docs/faults.md says what is proven, simulated, sampled and assumed as tools/chaos/proof.ts does", () => {
  expect(readFileSync(join(import.meta.dirname, "../../docs/faults.md"), "utf8")).toContain(renderProof());
});
