import type { Log } from "./log.ts";

/** A log that adds these fields to every line. */
export function withFields(log: Log, fields: Readonly<Record<string, unknown>>): Log {
  const at = (level: keyof Log) => (given: unknown, message?: string) =>
    typeof given === "object" && given !== null
      ? log[level]({ ...fields, ...given }, message)
      : log[level](fields, String(given));
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
