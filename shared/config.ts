import { z } from "zod";
import { LOG_LEVELS } from "./log-levels.ts";

/** The exit code for a configuration that cannot work (EX_CONFIG of sysexits.h). */
export const EX_CONFIG = 78;

/** A schema of environment variables, each with a description for `--help` and the README. */
export type EnvSchema = z.ZodObject<Record<string, z.ZodType>>;

const port = z.coerce.number().int().min(0).max(65_535);
const milliseconds = z.coerce.number().int().min(1);
/** The building blocks of the processes' own schemas. */
export const env = { port, milliseconds };

export const sharedEnv = {
  REDIS_URL: z
    .url({ protocol: /^rediss?(\+cluster)?$/, error: "must be a redis:// or rediss:// URL" })
    .describe("Where the backlog lives. `rediss://` for TLS, `redis+cluster://` or `rediss+cluster://` for a cluster."),
  REDIS_PREFIX: z
    .string()
    .regex(/^[\w.-]{1,64}$/, "must be letters, digits, dots, dashes or underscores")
    .default("socket-bridge")
    .describe("Keeps the keys of several bridges apart in one Redis."),
  LOG_LEVEL: z.enum(LOG_LEVELS).default("info").describe("How much is logged."),
  LOG_FILE: z.string().min(1).optional().describe("A file for the log, beside standard output."),
};

/** Every variable that is missing or wrong, without its value: it may be a secret. */
export class ConfigError extends Error {
  override name = "ConfigError";
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(
      `The configuration cannot work:\n${problems.map((p) => `  ${p}`).join("\n")}\nRun with --help for what each takes.`,
    );
    this.problems = problems;
  }
}

/** Reads the environment once. An empty variable counts as one that is not set. Throws ConfigError. */
export function parseConfig<S extends EnvSchema>(
  schema: S,
  environment: Record<string, string | undefined>,
): z.infer<S> {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ""));
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    parsed.error.issues.map((issue) => {
      const name = issue.path.join(".");
      const missing = issue.code === "invalid_type" && given[name] === undefined;
      return `${name}: ${missing ? "is not set" : issue.message}`;
    }),
  );
}

/** One row of the README's table and of `--help`. */
export interface Variable {
  name: string;
  fallback: string;
  description: string;
}

export function describeConfig(schema: EnvSchema): Variable[] {
  return Object.entries(schema.shape).map(([name, type]) => {
    const unset = type.safeParse(undefined);
    const fallback = !unset.success ? "required" : unset.data === undefined ? "" : `${unset.data as string | number}`;
    return { name, fallback, description: type.description ?? "" };
  });
}

/** What `--help` prints. */
export function helpText(what: string, schema: EnvSchema): string {
  const rows = describeConfig(schema);
  const width = Math.max(...rows.map((r) => r.name.length));
  const lines = rows.map((r) => {
    const note = r.fallback === "required" ? " (required)" : r.fallback ? ` (default ${r.fallback})` : "";
    return `  ${r.name.padEnd(width)}  ${r.description}${note}`;
  });
  return `${what}\n\nIt is configured by environment variables alone:\n${lines.join("\n")}\n`;
}
