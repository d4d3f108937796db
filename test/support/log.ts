import type { Log } from "../../shared/util/log.ts";

export interface LogLine {
  level: keyof Log;
  fields: Record<string, unknown>;
  message: string;
}

/** A log that keeps its lines, for tests that look at them. */
export function keptLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: keyof Log) => (fields: unknown, message?: string) => {
    const kept = typeof fields === "object" && fields !== null ? { ...fields } : {};
    lines.push({ level, fields: kept, message: message ?? String(fields) });
  };
  return { log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }, lines };
}
