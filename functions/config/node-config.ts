import { z } from "zod";
import { type Config, env, sharedEnv } from "../../shared/config/config.ts";
import { sealingEnv } from "../../shared/sealing/open-sealer.ts";
import { corsOrigins } from "../http/response-headers.ts";
import { MAX_BODY_BYTES } from "../http/limit-body.ts";
import { nodeServerEnv } from "./node-env.ts";
import { streamEnv } from "./stream-env.ts";
import { quotaEnv } from "./quotas.ts";

const text = z.string().min(1).optional();
const jwtSecret = z.string().min(32, "must have at least 32 characters").optional();

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);
const KEY_SET_URL = "must be an https:// URL without a password; http:// only for this machine itself";
/** Whoever could change the keys on their way could sign every token. */
function isSafe(given: string): boolean {
  const url = URL.parse(given);
  if (!url || url.username !== "" || url.password !== "") return false;
  return url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.has(url.hostname));
}

/** What says which tokens are good, and for what. See functions/middleware/auth.ts. */
const accessEnv = {
  JWT_SECRET: env.note(jwtSecret.describe("The secret that the services' HS256 tokens are signed with."), {
    secret: true,
    oneOf: ["JWT_SECRET", "JWKS_URL"],
  }),
  JWT_SECRET_PREVIOUS: env.note(
    jwtSecret.describe("While `JWT_SECRET` rotates, the one before: tokens that are signed with it are good as well."),
    { secret: true, needs: "JWT_SECRET" },
  ),
  JWKS_URL: env.note(
    z
      .string()
      .refine(isSafe, KEY_SET_URL)
      .optional()
      .describe("The key set of the identity provider that signs the tokens: RS256, ES256 or EdDSA."),
    { oneOf: ["JWT_SECRET", "JWKS_URL"] },
  ),
  JWT_ISSUER: text.describe("What a token's `iss` has to be."),
  JWT_AUDIENCE: text.describe("What a token's `aud` has to be, or to hold."),
  JWT_CLOCK_TOLERANCE_S: z.coerce
    .number()
    .int()
    .min(0)
    .max(300)
    .default(0)
    .describe("How far the clock of whoever signs the tokens may be off, s."),
  ORG: text.describe("The organisation that this CAD belongs to: only tokens with it as their `org` may do anything."),
};

/** The functions' environment. */
export const functionsEnv = z.object({
  ...sharedEnv,
  ...sealingEnv,
  PORT: env.port.default(8000).describe("Where the HTTP API listens."),
  HOST: z.string().min(1).default("127.0.0.1").describe("The address that it listens on; 0.0.0.0 for all."),
  ...accessEnv,
  MAX_BACKLOG: z.coerce
    .number()
    .int()
    .min(1)
    .default(1_000_000)
    .describe("How many unsettled commands are held at most; beyond, 503."),
  MAX_BODY_BYTES: env.bytes.default(MAX_BODY_BYTES).describe("How large a body may be, bytes; beyond, 413."),
  CORS_ORIGINS: corsOrigins.optional(),
  ...streamEnv,
  ...quotaEnv,
  ...nodeServerEnv,
});
export type FunctionsConfig = Config<typeof functionsEnv>;
