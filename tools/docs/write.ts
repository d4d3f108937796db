import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FILES, renewTables, TABLES } from "./tables.ts";

/** `npm run docs`: renews what is derived from the code: tables of the docs, alert rules, the dashboard. */
const ROOT = join(import.meta.dirname, "../..");

function renew(name: string, make: (before: string) => string): void {
  const path = join(ROOT, name);
  const before = existsSync(path) ? readFileSync(path, "utf8") : "";
  const after = make(before);
  if (after !== before) writeFileSync(path, after);
  process.stdout.write(`${name}: ${after === before ? "up to date" : "renewed"}\n`);
}

for (const page of Object.keys(TABLES)) renew(page, (before) => renewTables(page, before));
for (const [name, make] of Object.entries(FILES)) renew(name, make);
