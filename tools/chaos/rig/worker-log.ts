import { readFileSync } from "node:fs";

/** When a worker last logged its start, ms since 1970: excludes the time that Node takes to load it. */
export function lastStart(file: string): number {
  const line = readFileSync(file, "utf8")
    .split("\n")
    .findLast((text) => text.includes('"the worker has started"'));
  const { time } = JSON.parse(line ?? "{}") as { time?: string | number };
  if (time === undefined) throw new Error(`no worker start in ${file}`);
  return new Date(time).getTime();
}
