import { destination, multistream, pino, type DestinationStream, type Logger } from "pino";
import type { LogLevel } from "./log-levels.ts";

/** What the code logs with. Never a payload, a token or a URL with credentials. */
export type Log = Pick<Logger, "debug" | "info" | "warn" | "error">;

/** Lines of JSON to standard output, and to a file as well where one is named. `flush` before the process ends. */
export function createLog(options: { name: string; level: LogLevel; file?: string | undefined }): {
  log: Log;
  flush(): void;
} {
  const outputs = [destination({ dest: 1, sync: false, minLength: 0 })];
  if (options.file) outputs.push(destination({ dest: options.file, sync: false, mkdir: true }));
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
