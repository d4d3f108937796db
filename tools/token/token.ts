import { parseArgs } from "node:util";
import { SignJWT } from "jose";
import { z } from "zod";
import { ConfigError, EX_CONFIG, parseConfig } from "../../shared/config/config.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { ROLES, type Role } from "../../shared/vocabulary/roles.ts";
import { functionsEnv } from "../../functions/config/node-config.ts";

/** `npm run token`: signs a token for the HTTP API. Prints the token to standard output, everything else to standard error. */
const USAGE = `npm run token -- --role ROLE --sub SUBJECT [--units ID,ID] [--org ID] [--expires TIME]
    Signs a token with JWT_SECRET, from the environment, a file (JWT_SECRET_FILE) or .env.
    --role     ${ROLES.join(", ")}
    --sub      who uses it: appears in receipts and in the audit trail, and has its own rate limits
    --units    the token is good for these units alone; without it, for all
    --org      the organisation; default: ORG
    --expires  a number and s, m, h or d: 8h (default), 30d
`;

const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
/** A token cannot be revoked before it expires, except by changing JWT_SECRET. */
const LONGEST_S = 400 * UNIT_SECONDS.d;
const USAGE_ERROR = 2;

class UsageError extends Error {
  override name = "UsageError";
}

export interface Wanted {
  role: Role;
  sub: string;
  units: string[] | undefined;
  org: string | undefined;
  /** Seconds. */
  lifetime: number;
}

/** Parses the command line. Throws UsageError. */
export function readWanted(args: string[]): Wanted {
  const text = { type: "string" } as const;
  let values;
  try {
    ({ values } = parseArgs({ args, options: { role: text, sub: text, units: text, org: text, expires: text } }));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const { role, sub, units, org, expires = "8h" } = values;
  const known = ROLES.find((one) => one === role);
  if (!known) throw new UsageError(`--role must be one of ${ROLES.join(", ")}.`);
  if (!sub) throw new UsageError("--sub is missing: it identifies the user of the token.");
  const ids = units?.split(",").map((id) => id.trim());
  if (ids?.some((id) => id === "")) throw new UsageError("--units must be ids separated by commas, such as M1,M2.");
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(expires) ?? [];
  const lifetime = Number(count) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS];
  if (!(lifetime > 0 && lifetime <= LONGEST_S))
    throw new UsageError("--expires must be a number and s, m, h or d, such as 8h, and at most 400d.");
  return { role: known, sub, units: ids, org, lifetime };
}

const tokenEnv = z.object({
  JWT_SECRET: functionsEnv.shape.JWT_SECRET,
  JWKS_URL: functionsEnv.shape.JWKS_URL,
  JWT_ISSUER: functionsEnv.shape.JWT_ISSUER,
  JWT_AUDIENCE: functionsEnv.shape.JWT_AUDIENCE,
  ORG: functionsEnv.shape.ORG,
});

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (args.includes("--help")) {
    process.stdout.write(USAGE);
    return 0;
  }
  const wanted = readWanted(args);
  const config = parseConfig(tokenEnv, process.env, fromDisk);
  if (config.JWT_SECRET === undefined)
    throw new ConfigError(["JWKS_URL: is set, so tokens are issued by the identity provider, not here"]);
  const { role, sub, units, lifetime, org = config.ORG } = wanted;
  const expires = Math.floor(Date.now() / 1000) + lifetime;
  const token = new SignJWT({ role, ...(units && { units }), ...(org !== undefined && { org }) })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(sub)
    .setIssuedAt()
    .setExpirationTime(expires);
  if (config.JWT_ISSUER !== undefined) token.setIssuer(config.JWT_ISSUER);
  if (config.JWT_AUDIENCE !== undefined) token.setAudience(config.JWT_AUDIENCE);
  process.stdout.write(`${await token.sign(new TextEncoder().encode(config.JWT_SECRET))}\n`);
  const scope = units ? `the units ${units.join(", ")}` : "all units";
  process.stderr.write(
    `A token for ${sub}, role ${role}, ${scope}, until ${new Date(expires * 1000).toISOString()}.\n` +
      `Send it as the header "Authorization: Bearer TOKEN". It cannot be revoked, except by changing JWT_SECRET.\n`,
  );
  return 0;
}

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof ConfigError)) throw error;
    process.stderr.write(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : `token: ${error.message}\n`);
    process.exitCode = error instanceof UsageError ? USAGE_ERROR : EX_CONFIG;
  }
}
