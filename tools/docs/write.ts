import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renewTables, TABLES } from "./tables.ts";

/** `npm run docs`: renews the tables of the docs that are derived from the code. */
const ROOT = join(import.meta.dirname, "../..");
for (const page of Object.keys(TABLES)) {
  const path = join(ROOT, page);
  const before = readFileSync(path, "utf8");
  const after = renewTables(page, before);
  if (after !== before) writeFileSync(path, after);
  process.stdout.write(`${page}: ${after === before ? "up to date" : "renewed"}\n`);
}
