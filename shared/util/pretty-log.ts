import { parseJson } from "./json.ts";

/** The fields at the start of a line; the others follow. */
const HEAD = new Set(["time", "level", "name", "msg", "stack"]);
const LEVEL_WIDTH = 5;

const shown = (value: unknown): string =>
  typeof value === "string" && /^[\w.:/+-]+$/.test(value) ? value : JSON.stringify(value);

/** A JSON log line for people: time, level, process, message, fields; a stack on lines of its own. */
export function prettyLine(line: string): string {
  const parsed = parseJson(line);
  if (typeof parsed !== "object" || parsed === null) return line;
  const { time = "", level = "", name = "", msg = "", stack, ...rest } = parsed as Record<string, unknown>;
  const fields = Object.entries(rest).flatMap(([key, value]) => (HEAD.has(key) ? [] : [`${key}=${shown(value)}`]));
  const head = [time, String(level).toUpperCase().padEnd(LEVEL_WIDTH), `${String(name)}:`, msg, ...fields].join(" ");
  return typeof stack === "string" ? `${head}\n${stack.replaceAll(/^/gm, "    ")}\n` : `${head}\n`;
}
