import { readFileSync } from "node:fs";

/** When a worker last said that it has started, ms since 1970: how long Node takes to load it is left out. */
export function lastStart(file: string): number {
  const line = readFileSync(file, "utf8")
    .split("\n")
    .findLast((text) => text.includes('"the worker has started"'));
  const { time } = JSON.parse(line ?? "{}") as { time?: string | number };
  if (time === undefined) throw new Error(`there is no start in ${file}`);
  return new Date(time).getTime();
}
