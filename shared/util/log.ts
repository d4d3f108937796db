import { fstatSync } from "node:fs";
import { destination, multistream, pino, stdTimeFunctions, type DestinationStream, type Logger } from "pino";
import type { LogFormat, LogLevel } from "./log-levels.ts";
import { prettyLine } from "./pretty-log.ts";
import { withDeadline } from "./sleep.ts";

/** The logger. Never pass a payload, a token or a URL with credentials. */
export type Log = Pick<Logger, "debug" | "info" | "warn" | "error">;

/** For programs that print their own output, such as a command on a terminal. */
export const noLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Lines are written in batches, at most 100 ms late: one write per line would cost more than the line itself. */
const BUFFERED = { sync: false, minLength: 4096, periodicFlush: 100 } as const;
/** How long a slow reader of the log may delay the exit of a process, ms. */
const DRAIN_MS = 2000;

export interface LogOptions {
  name: string;
  level: LogLevel;
  /** Format on standard output; a file always has JSON. */
  format?: LogFormat;
  file?: string | undefined;
  /** File descriptor used as standard output. */
  stdout?: number;
}

export interface OpenLog {
  log: Log;
  /** Writes everything in order before the process ends. Never rejects. */
  drain(): Promise<void>;
  /** Writes everything at once, for a crash: may overtake a write in progress. */
  flushSync(): void;
  /** Reopens the file after it was moved. */
  reopen(): void;
}

/** Logs to standard output and, if given, to a file as JSON. */
export function createLog({ name, level, format = "json", file, stdout: fd = 1 }: LogOptions): OpenLog {
  const stdout = destination({ ...BUFFERED, dest: fd });
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
    drain: async () => void (await Promise.all([drain(stdout, isFile(fd)), ...(toFile ? [drain(toFile, true)] : [])])),
    flushSync: () => outputs.forEach(flushSync),
  };
}

type Output = ReturnType<typeof destination>;

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false;
  }
}

/** @param canWait whether a synchronous write ends: to a pipe that nobody reads it would block for ever */
async function drain(output: Output, canWait: boolean): Promise<void> {
  const drained = new Promise<void>((resolve) => {
    const finish = () => {
      // No write is in progress now: what was buffered meanwhile follows in order.
      flushSync(output);
      resolve();
    };
    output.once("drain", finish);
    output.once("error", finish);
    output.flush(() => undefined);
  });
  // A slow disk: the rest may overtake the write in progress, and is not lost.
  await withDeadline(drained, DRAIN_MS, "writing the log").catch(() => canWait && flushSync(output));
}

function flushSync(output: Output): void {
  try {
    output.flushSync();
  } catch {
    // Not open yet, or closed: cannot be written.
  }
}
