import { destination, multistream, pino, stdTimeFunctions, type DestinationStream, type Logger } from "pino";
import type { LogFormat, LogLevel } from "./log-levels.ts";
import { prettyLine } from "./pretty-log.ts";

/** What the code logs with. Never a payload, a token or a URL with credentials. */
export type Log = Pick<Logger, "debug" | "info" | "warn" | "error">;

/** For what tells all that it has to say by itself, such as a command on a terminal. */
export const noLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Lines are written together, 100 ms late at most: a write for each would cost more than the line itself. */
const BUFFERED = { sync: false, minLength: 4096, periodicFlush: 100 } as const;

export interface LogOptions {
  name: string;
  level: LogLevel;
  /** Of standard output; a file has JSON. */
  format?: LogFormat;
  file?: string | undefined;
}

/**
 * Lines to standard output, and as JSON to a file as well where one is named. `flush` before the process ends; `reopen` after
 * somebody moved the file away.
 */
export function createLog({ name, level, format = "json", file }: LogOptions): {
  log: Log;
  flush(): void;
  reopen(): void;
} {
  const stdout = destination({ ...BUFFERED, dest: 1 });
  const toFile = file === undefined ? undefined : destination({ ...BUFFERED, dest: file, mkdir: true });
  const outputs = toFile ? [stdout, toFile] : [stdout];
  const pretty: DestinationStream = { write: (line) => void stdout.write(prettyLine(line)) };
  const shown = format === "pretty" ? pretty : stdout;
  const stream = toFile ? multistream([shown, toFile].map((o) => ({ stream: o, level: "trace" as const }))) : shown;
  const log = pino(
    {
      name,
      level,
      base: {},
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  return {
    log,
    reopen: () => toFile?.reopen(),
    flush: () => {
      for (const output of outputs) {
        try {
          output.flushSync();
        } catch {
          // Not open yet: nothing was written to it either.
        }
      }
    },
  };
}
