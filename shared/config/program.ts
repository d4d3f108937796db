import { readFileSync, statSync } from "node:fs";
import { type Config, ConfigError, type EnvSchema, EX_CONFIG, helpText, parseConfig } from "./config.ts";
import { createLog, type Log } from "../util/log.ts";
import type { LogFormat, LogLevel } from "../util/log-levels.ts";
import { MAX_SECRET_BYTES, type ReadSecret, UnfitFile } from "./secret-files.ts";
import { reasonOf } from "../util/reason.ts";
import { withDeadline } from "../util/sleep.ts";

/** Reads a secret file. Regular files only: reading anything else could block forever. */
export const fromDisk: ReadSecret = (path) => {
  const found = statSync(path);
  if (!found.isFile() || found.size > MAX_SECRET_BYTES) throw new UnfitFile("is not a plain file of at most 64 KiB");
  return readFileSync(path, "utf8");
};

/** Time limit for a process to stop, ms. */
const STOP_MS = 9500;

/** A process that was started. */
export interface Running<Schema extends EnvSchema> {
  stop(): Promise<void>;
  failed?: Promise<never>;
  /** Applies what may change without a restart: the secrets from files. */
  reload?(next: Config<Schema>): void;
  /** The new configuration is invalid for these reasons; the previous one stays in effect. */
  reloadRefused?(problems: readonly string[]): void;
}

/** A long-lived process of the bridge. */
export interface Program<Schema extends EnvSchema> {
  name: string;
  /** One line for `--help`. */
  what: string;
  env: Schema;
  start(config: Config<Schema>, log: Log): Promise<Running<Schema>>;
}

interface LogSettings {
  LOG_LEVEL?: LogLevel;
  LOG_FILE?: string;
  LOG_FORMAT?: LogFormat;
}

/**
 * Runs a process from its configuration to its end. Exit code 0 after SIGTERM or SIGINT, 78 for an invalid configuration, 1
 * for anything else.
 */
export async function runProgram<Schema extends EnvSchema>(program: Program<Schema>): Promise<void> {
  if (process.argv.includes("--help")) return void process.stdout.write(helpText(program.what, program.env));
  const refuse = (error: unknown): void => {
    if (!(error instanceof ConfigError)) return;
    process.stderr.write(`${program.name}: ${error.message}\n`);
    process.exit(EX_CONFIG);
  };
  let config: Config<Schema>;
  try {
    config = parseConfig(program.env, process.env, fromDisk);
  } catch (error) {
    refuse(error);
    throw error;
  }
  const { LOG_LEVEL: level = "info", LOG_FILE: file, LOG_FORMAT: format = "json" } = config as LogSettings;
  const { log, drain, flushSync, reopen } = createLog({ name: program.name, level, file, format });
  let reload: Running<Schema>["reload"];
  let reloadRefused: Running<Schema>["reloadRefused"];
  process.on("SIGHUP", () => {
    // logrotate has moved the file: later lines go to a new one.
    reopen();
    try {
      reload?.(parseConfig(program.env, process.env, fromDisk));
      log.info({ secrets: reload !== undefined }, "SIGHUP: log file reopened, secret files read again");
    } catch (error) {
      const problems = error instanceof ConfigError ? error.problems : [reasonOf(error)];
      reloadRefused?.(problems);
      log.error({ problems }, "SIGHUP: the new configuration is invalid; the previous one stays in effect");
    }
  });

  const exit = async (code: number): Promise<never> => {
    await drain();
    process.exit(code);
  };
  const crash = (error: unknown) => {
    log.error({ error: String(error), stack: error instanceof Error ? error.stack : undefined }, "the process crashed");
    // Exit at once: nothing more may run in an unknown state.
    flushSync();
    process.exit(1);
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);

  const asked = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => resolve(signal));
  });
  const running = await program.start(config, log).catch((error: unknown) => {
    // Two variables contradict each other.
    refuse(error);
    const { code } = error as { code?: string };
    const reason =
      code === "EADDRINUSE"
        ? "the port is in use: stop the process that uses it, or choose another port"
        : String(error);
    log.error({ reason }, "the process could not start");
    return exit(1);
  });
  ({ reload, reloadRefused } = running);
  running.failed?.catch(crash);
  log.info({ signal: await asked }, "stopping");
  await withDeadline(running.stop(), STOP_MS, "the stop").then(
    () => exit(0),
    (error: unknown) => {
      log.error({ reason: String(error) }, "the process did not stop cleanly");
      return exit(1);
    },
  );
}
