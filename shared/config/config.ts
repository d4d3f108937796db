import { z } from "zod";
import { isRedisUrl } from "./redis-url.ts";
import { LOG_FORMATS, LOG_LEVELS, toLogLevel } from "../util/log-levels.ts";
import { type ReadSecret, readSecrets } from "./secret-files.ts";

/** The exit code for an invalid configuration (EX_CONFIG of sysexits.h). */
export const EX_CONFIG = 78;

/** A schema of environment variables, each with a description for `--help` and docs/configuration.md. */
export type EnvSchema = z.ZodObject<Record<string, z.ZodType>>;

/** Properties of a variable beside its type. Set last, after `optional` and `default`, which would hide them. */
interface Notes {
  /** `NAME_FILE` may name a file that contains it. */
  secret?: true;
  /** Exactly one of these, itself included, must be set. */
  oneOf?: readonly string[];
  /** The variable it requires. */
  needs?: string;
}
const note = <S extends z.ZodType>(schema: S, notes: Notes): S => schema.meta({ ...notes });
const notesOf = (type: z.ZodType): Notes => (type.meta() ?? {}) as Notes;

const port = z.coerce.number().int().min(0).max(65_535);
const milliseconds = z.coerce.number().int().min(1);
const bytes = z.coerce
  .number()
  .int()
  .min(1024)
  .max(16 * 1024 * 1024);
const pem = z.string().includes("-----BEGIN ", "must be PEM: -----BEGIN …").optional();
/** The building blocks of the processes' schemas. */
export const env = { port, milliseconds, bytes, note };

/** Address and credentials of Redis. */
export const redisEnv = {
  REDIS_URL: note(
    z
      .string()
      .refine(isRedisUrl, "must be a redis://, rediss://, redis+cluster:// or redis+sentinel:// URL")
      .describe(
        "URL of Redis. `rediss://` for TLS, `redis+cluster://` or `rediss+cluster://` for a cluster, `redis+sentinel://` or `rediss+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME` for the master that these Sentinels call NAME.",
      ),
    { secret: true },
  ),
  REDIS_SENTINEL_USERNAME: z.string().min(1).optional().describe("User for the Sentinels, if they require one."),
  REDIS_SENTINEL_PASSWORD: note(
    z.string().min(1).optional().describe("Password for the Sentinels, if they require one."),
    { secret: true },
  ),
  REDIS_TLS_CERT: note(pem.describe("Client certificate (PEM), for a Redis that requires one; with `rediss://`."), {
    secret: true,
    needs: "REDIS_TLS_KEY",
  }),
  REDIS_TLS_KEY: note(pem.describe("Private key of that certificate (PEM)."), {
    secret: true,
    needs: "REDIS_TLS_CERT",
  }),
  REDIS_TLS_CA: note(pem.describe("Certificate of the private authority that signed the certificate of Redis (PEM)."), {
    secret: true,
  }),
};

export const sharedEnv = {
  ...redisEnv,
  REDIS_PREFIX: z
    .string()
    .regex(/^[\w.-]{1,64}$/, "must be letters, digits, dots, dashes or underscores")
    .default("socket-bridge")
    .describe("Prefix of all keys; separates several bridges in one Redis."),
  CADS_FILE: z
    .string()
    .min(1)
    .optional()
    .describe(
      "YAML or JSON file of several CADs, in place of CAD_BACKEND_URL and CAD_BACKEND_AUTH_TOKEN: see Several CADs. The functions use only which CADs there are and what each owns.",
    ),
  LOG_LEVEL: z
    .string()
    .transform(toLogLevel)
    .pipe(z.enum(LOG_LEVELS))
    .default("info")
    .describe("Least severe level that is logged."),
  LOG_FORMAT: z
    .enum(LOG_FORMATS, "must be json or pretty")
    .default("json")
    .describe("Format of the log on standard output: `json`, or `pretty` for people. LOG_FILE is always JSON."),
  LOG_FILE: z
    .string()
    .min(1)
    .optional()
    .describe("File that the log is written to, in addition to standard output; reopened on SIGHUP."),
};

/** Lists every missing or invalid variable, without its value, which may be a secret. */
export class ConfigError extends Error {
  override name = "ConfigError";
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(
      `Invalid configuration:\n${problems.map((p) => `  ${p}`).join("\n")}\nRun with --help for a description of each variable.`,
    );
    this.problems = problems;
  }
}

/** A parsed environment, and the paths of its secret files by variable name. */
export type Config<S extends EnvSchema> = z.infer<S> & { secretFiles: Readonly<Record<string, string>> };

/**
 * Parses the environment. An empty variable counts as unset. Throws ConfigError.
 * @param read reads secret files; absent on a host without files
 */
export function parseConfig<S extends EnvSchema>(
  schema: S,
  environment: Readonly<Record<string, string | undefined>>,
  read?: ReadSecret,
): Config<S> {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ""));
  const secrets = Object.entries(schema.shape).flatMap(([name, type]) => (notesOf(type).secret ? [name] : []));
  const { contents, paths, problems } = readSecrets(secrets, given, read);
  const values = { ...given, ...contents };
  const parsed = schema.safeParse(values);
  for (const issue of parsed.error?.issues ?? []) {
    const name = issue.path.join(".");
    // Its file's problem is already reported.
    if (name in paths && values[name] === undefined) continue;
    const missing = issue.code === "invalid_type" && values[name] === undefined;
    problems.push(`${name}: ${missing ? "is not set" : issue.message}`);
  }
  problems.push(...wrongTogether(schema, new Set(Object.keys({ ...values, ...paths }))));
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);
  return { ...parsed.data, secretFiles: paths };
}

/** The contradictions between variables that are valid by themselves. */
function wrongTogether(schema: EnvSchema, set: ReadonlySet<string>): Set<string> {
  const problems = new Set<string>();
  for (const [name, type] of Object.entries(schema.shape)) {
    const { oneOf = [], needs } = notesOf(type);
    const [first, ...more] = oneOf.filter((one) => set.has(one));
    if (more.length > 0) problems.add(`${first}: is set, and so is ${more.join(" and ")}; set only one of them`);
    if (oneOf.length > 0 && first === undefined)
      problems.add(`${oneOf[0]}: is not set, and neither is ${oneOf.slice(1).join(" or ")}; set one of them`);
    if (needs && set.has(name) && !set.has(needs)) problems.add(`${name}: has no effect without ${needs}`);
  }
  return problems;
}

/** One row of the table in docs/configuration.md and of `--help`. */
export interface Variable {
  name: string;
  /** `required`, the default, or empty. */
  fallback: string;
  description: string;
}

/** @param files whether secrets may come from files */
export function describeConfig(schema: EnvSchema, files = true): Variable[] {
  return Object.entries(schema.shape).map(([name, type]) => {
    const { oneOf = [], secret } = notesOf(type);
    const others = oneOf.filter((one) => one !== name);
    const unset = type.safeParse(undefined);
    const byDefault = unset.data === undefined ? "" : `${unset.data as string | number}`;
    const notes = [
      descriptionOf(type),
      others.length > 0 ? `Either this or \`${others.join("`, `")}\` is required.` : "",
      secret && files ? `Or \`${name}_FILE\`: path of a file that contains it.` : "",
    ];
    return { name, fallback: unset.success ? byDefault : "required", description: notes.filter(Boolean).join(" ") };
  });
}

/** The description is on the inner schema if the variable was made optional afterwards. */
const descriptionOf = (type: z.ZodType): string =>
  type.description ?? (type instanceof z.ZodOptional ? descriptionOf(type.unwrap() as z.ZodType) : "");

/** What `--help` prints. */
export function helpText(what: string, schema: EnvSchema, files = true): string {
  const rows = describeConfig(schema, files);
  const width = Math.max(...rows.map((r) => r.name.length));
  const lines = rows.map((r) => {
    const fallback = r.fallback === "required" ? " (required)" : r.fallback ? ` (default ${r.fallback})` : "";
    return `  ${r.name.padEnd(width)}  ${r.description}${fallback}`;
  });
  return `${what}\n\nIt is configured by environment variables only:\n${lines.join("\n")}\n`;
}
