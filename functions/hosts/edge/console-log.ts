import type { Log } from "../../../shared/util/log.ts";
import { LOG_LEVELS, type LogLevel } from "../../../shared/util/log-levels.ts";

/** Writes JSON lines to the console, which the runtime collects; with the same fields as on Node. */
export function consoleLog(name: string, level: LogLevel): Log {
  const at = (method: keyof Log) => {
    if (level === "silent" || LOG_LEVELS.indexOf(method) > LOG_LEVELS.indexOf(level)) return () => undefined;
    return (fields: unknown, message?: string) => {
      const given = typeof fields === "object" ? fields : {};
      const msg = message ?? (typeof fields === "string" ? fields : undefined);
      // oxlint-disable-next-line no-console -- it is the only output that a worker has
      console[method](JSON.stringify({ level: method, time: new Date().toISOString(), name, ...given, msg }));
    };
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
