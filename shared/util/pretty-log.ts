import { parseJson } from "./json.ts";

/** What a line begins with; the rest are fields. */
const HEAD = new Set(["time", "level", "name", "msg", "stack"]);
const LEVEL_WIDTH = 5;

const shown = (value: unknown): string =>
  typeof value === "string" && /^[\w.:/+-]+$/.test(value) ? value : JSON.stringify(value);

/** A line of JSON of the log as a person reads it: time, level, process, message, fields; a stack on lines of its own. */
export function prettyLine(line: string): string {
  const parsed = parseJson(line);
  if (typeof parsed !== "object" || parsed === null) return line;
  const { time = "", level = "", name = "", msg = "", stack, ...rest } = parsed as Record<string, unknown>;
  const fields = Object.entries(rest).flatMap(([key, value]) => (HEAD.has(key) ? [] : [`${key}=${shown(value)}`]));
  const head = [time, String(level).toUpperCase().padEnd(LEVEL_WIDTH), `${String(name)}:`, msg, ...fields].join(" ");
  return typeof stack === "string" ? `${head}\n${stack.replaceAll(/^/gm, "    ")}\n` : `${head}\n`;
}
