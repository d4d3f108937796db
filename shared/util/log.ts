import { destination, multistream, pino, type DestinationStream, type Logger } from "pino";
import type { LogLevel } from "./log-levels.ts";

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

/** Lines of JSON to standard output, and to a file as well where one is named. `flush` before the process ends. */
export function createLog(options: { name: string; level: LogLevel; file?: string | undefined }): {
  log: Log;
  flush(): void;
} {
  const outputs = [destination({ ...BUFFERED, dest: 1 })];
  if (options.file) outputs.push(destination({ ...BUFFERED, dest: options.file, mkdir: true }));
  const stream: DestinationStream =
    outputs.length === 1 && outputs[0] ? outputs[0] : multistream(outputs.map((o) => ({ stream: o, level: "trace" })));
  const log = pino({ name: options.name, level: options.level, base: {} }, stream);
  return {
    log,
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
