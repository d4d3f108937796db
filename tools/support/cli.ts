import { parseArgs, type ParseArgsConfig } from "node:util";
import { SetupError } from "../setup/setup-error.ts";

/** Invalid arguments: printed with a pointer to --help; exit code 2. */
export class UsageError extends SetupError {
  constructor(message: string) {
    super(message, "See --help.");
  }
}

/**
 * Parses the command line; throws a UsageError. npm consumes options that precede a `--` and shows them only in its
 * environment: they are reported instead of ignored.
 */
export function readArgs<const T extends ParseArgsConfig>(config: T, script: string, env: NodeJS.ProcessEnv) {
  for (const name of Object.keys(config.options ?? {})) {
    if (name !== "help" && env[`npm_config_${name}`] !== undefined) {
      throw new UsageError(`npm consumed --${name}. Put -- before the options: npm run ${script} -- --${name} ...`);
    }
  }
  try {
    return parseArgs(config);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** A whole number from `least` to `most`; throws a UsageError. */
export function wholeNumber(name: string, value: string, least: number, most: number): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= least && number <= most) return number;
  throw new UsageError(`--${name} must be a whole number from ${least} to ${most}, not "${value}".`);
}

/** Runs a command line program; errors that the user can fix are printed without a stack. */
export async function runCli(main: () => Promise<number>): Promise<never> {
  let code: number;
  try {
    code = await main();
  } catch (error) {
    console.error(error instanceof SetupError ? `\n${error.message}\n${error.hint}` : error);
    code = error instanceof UsageError ? 2 : 1;
  }
  process.exit(code);
}
