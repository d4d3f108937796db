import { z } from "zod";
import { type Config, env, sharedEnv } from "../../shared/config/config.ts";
import { sealingEnv } from "../../shared/sealing/open-sealer.ts";
import { tracingEnv } from "../../shared/tracing/env.ts";
import { NAIVE_TIMES } from "../../shared/vocabulary/fields.ts";
import { corsOrigins } from "../http/response-headers.ts";
import { MAX_BODY_BYTES } from "../http/limit-body.ts";
import { nodeServerEnv } from "./node-env.ts";
import { backlogEnv } from "./backlog-env.ts";
import { streamEnv } from "./stream-env.ts";
import { quotaEnv } from "./quotas.ts";

const text = z.string().min(1).optional();
const jwtSecret = z.string().min(32, "must have at least 32 characters").optional();

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);
const KEY_SET_URL = "must be an https:// URL without a password; http:// only for this machine itself";
/** Anyone who could change the keys in transit could sign any token. */
function isSafe(given: string): boolean {
  const url = URL.parse(given);
  if (!url || url.username !== "" || url.password !== "") return false;
  return url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.has(url.hostname));
}

/** Defines which tokens are valid, and for what. See functions/middleware/auth.ts. */
const accessEnv = {
  JWT_SECRET: env.note(jwtSecret.describe("Secret that signs the services' HS256 tokens."), {
    secret: true,
    oneOf: ["JWT_SECRET", "JWKS_URL"],
  }),
  JWT_SECRET_PREVIOUS: env.note(
    jwtSecret.describe("During a rotation of `JWT_SECRET`, the previous one: tokens signed with it are valid too."),
    { secret: true, needs: "JWT_SECRET" },
  ),
  JWKS_URL: env.note(
    z
      .string()
      .refine(isSafe, KEY_SET_URL)
      .optional()
      .describe("Key set (JWKS) of the identity provider that signs the tokens: RS256, ES256 or EdDSA."),
    { oneOf: ["JWT_SECRET", "JWKS_URL"] },
  ),
  JWT_ISSUER: text.describe("Required `iss` of a token."),
  JWT_AUDIENCE: text.describe("Required `aud` of a token, or one of them."),
  JWT_CLOCK_TOLERANCE_S: z.coerce
    .number()
    .int()
    .min(0)
    .max(300)
    .default(0)
    .describe("Tolerated clock difference in `exp` and `nbf`, s."),
  ORG: text.describe("Organisation that this CAD belongs to: tokens need it as their `org`."),
};

/** Access to GET /metrics besides admins. */
const metricsEnv = {
  METRICS_TOKEN: env.note(
    z
      .string()
      .regex(/^[\w.~+/-]{32,}=*$/, "must be at least 32 letters, digits or -._~+/")
      .optional()
      .describe("Bearer token that grants access to `GET /metrics` only, for Prometheus."),
    { secret: true },
  ),
  METRICS_PORT: env.port
    .optional()
    .describe("Port of a second listener that serves only `GET /metrics`, without a token. None if not set."),
  METRICS_HOST: z.string().min(1).default("127.0.0.1").describe("Address of that listener."),
};

/** The functions' environment. */
export const functionsEnv = z.object({
  ...sharedEnv,
  ...sealingEnv,
  ...tracingEnv,
  PORT: env.port.default(8000).describe("Port of the HTTP API."),
  HOST: z.string().min(1).default("127.0.0.1").describe("Address that the HTTP API listens on; 0.0.0.0 for all."),
  ...metricsEnv,
  ...accessEnv,
  ...backlogEnv,
  MAX_BODY_BYTES: env.bytes.default(MAX_BODY_BYTES).describe("Maximum size of a request body, bytes; beyond, 413."),
  NAIVE_TIMES: z
    .string()
    .toLowerCase()
    .pipe(z.enum(NAIVE_TIMES, "must be refuse or utc"))
    .default("refuse")
    .describe("A time without an offset in a command: `refuse`, or `utc` to read it as UTC."),
  CORS_ORIGINS: corsOrigins.optional(),
  ...streamEnv,
  ...quotaEnv,
  ...nodeServerEnv,
});
export type FunctionsConfig = Config<typeof functionsEnv>;
