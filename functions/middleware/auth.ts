import { createHash } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { errors, type JWTPayload, type JWTVerifyOptions } from "jose";
import type { Log } from "../../shared/util/log.ts";
import { Problem, type ProblemCode } from "../http/problem.ts";
import { ENDPOINTS, type GatedEndpoint, highest, may, type Role, ROLES } from "../../shared/vocabulary/roles.ts";
import type { Caller, CallerEnv } from "../http/caller.ts";
import type { FunctionsConfig } from "../config/node-config.ts";
import { remoteKeys, sharedSecrets, type TokenKeys } from "./token-keys.ts";

/** Identifies the caller. Throws a Problem: 401 without a valid token, 403 without a known role, 503 without keys. */
export type Authenticate = (authorization: string | undefined) => Promise<Caller>;

/** The requirements on a token. */
export type AccessConfig = Pick<
  FunctionsConfig,
  "JWT_SECRET" | "JWT_SECRET_PREVIOUS" | "JWKS_URL" | "JWT_ISSUER" | "JWT_AUDIENCE" | "JWT_CLOCK_TOLERANCE_S" | "ORG"
>;

/** Number of verified tokens cached: a service sends many requests with one token. */
const MAX_REMEMBERED = 1000;

/** A verified token's caller, valid from verification until it must be verified again; ms since 1970. */
interface Verified {
  caller: Caller;
  from: number;
  until: number;
}
type Verify = (token: string) => Promise<Verified>;

/**
 * Caches the callers of verified tokens: verifying costs as much as all the rest of a request. The oldest one is evicted.
 * Keyed by digest, so that no token stays in memory and none is compared byte by byte.
 */
function rememberVerified(verify: Verify, now: () => number): Verify {
  const known = new Map<string, Verified>();
  return async (token) => {
    const digest = createHash("sha256").update(token).digest("base64");
    const before = known.get(digest);
    if (before && before.from <= now() && now() < before.until) return before;
    known.delete(digest);
    const verified = await verify(token);
    if (known.size >= MAX_REMEMBERED) known.delete(known.keys().next().value ?? "");
    known.set(digest, verified);
    return verified;
  };
}

export interface AuthenticateDeps {
  log: Log;
  now?: () => number;
}

/** A provider issues tokens for many services, and some sign those of all tenants with the same keys. */
const OF_A_PROVIDER = ["JWT_ISSUER", "JWT_AUDIENCE"] as const;

/** Tokens are signed with a secret or a key of the identity provider, and have `sub`, `role` or `roles`, and `exp`. */
export function createAuthenticate(config: AccessConfig, { log, now = Date.now }: AuthenticateDeps): Authenticate {
  const { JWKS_URL, JWT_SECRET, JWT_SECRET_PREVIOUS, ORG } = config;
  const secrets = [JWT_SECRET, JWT_SECRET_PREVIOUS].filter((secret) => secret !== undefined);
  const keys: TokenKeys = JWKS_URL === undefined ? sharedSecrets(secrets) : remoteKeys(JWKS_URL, { now, log });
  for (const name of JWKS_URL === undefined ? [] : OF_A_PROVIDER)
    if (config[name] === undefined)
      log.warn({ hint: `set ${name}` }, "tokens issued for other services or tenants are accepted too");
  const toleranceMs = config.JWT_CLOCK_TOLERANCE_S * 1000;
  const options: JWTVerifyOptions = {
    requiredClaims: ["sub", "exp"],
    clockTolerance: config.JWT_CLOCK_TOLERANCE_S,
    ...(config.JWT_ISSUER !== undefined && { issuer: config.JWT_ISSUER }),
    ...(config.JWT_AUDIENCE !== undefined && { audience: config.JWT_AUDIENCE }),
  };
  const verify = rememberVerified(async (token) => {
    const from = now();
    const payload = await keys.verify(token, { ...options, currentDate: new Date(from) });
    const until = Math.min((payload.exp ?? 0) * 1000 + toleranceMs, keys.goodUntil());
    return { caller: toCaller(payload, ORG), from, until };
  }, now);
  return async (authorization) => {
    const [, token] = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization ?? "") ?? [];
    if (!token) throw unauthenticated("The request has no bearer token.");
    try {
      return (await verify(token)).caller;
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      throw unauthenticated(whyRefused(error), "invalid_token");
    }
  };
}

const WRONG_CLAIMS: Readonly<Record<string, string>> = {
  nbf: "The token is not valid yet.",
  iss: "The token's issuer is not JWT_ISSUER.",
  aud: "The token's audience is not JWT_AUDIENCE.",
};

/** Claims are checked only if the signature is valid, so that errors reveal nothing to a forger. */
function whyRefused(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return "The token has expired.";
  const claim = error instanceof errors.JWTClaimValidationFailed ? error.claim : "";
  return WRONG_CLAIMS[claim] ?? "The token is not valid.";
}

const challenge = (error?: string) => ({
  "WWW-Authenticate": `Bearer realm="socket-bridge"${error ? `, error="${error}"` : ""}`,
});

const unauthenticated = (detail: string, error?: string) =>
  new Problem("unauthenticated", detail, {}, challenge(error));

/** A valid token without sufficient rights (RFC 6750, 3.1). */
export const forbidden = (code: ProblemCode, detail: string, more: Record<string, unknown> = {}): Problem =>
  new Problem(code, detail, more, challenge("insufficient_scope"));

/** An id in a claim as text, since some services sign integers; undefined if it is not an id. */
const idOf = (claim: unknown): string | undefined =>
  typeof claim === "string" ? claim : Number.isSafeInteger(claim) ? String(claim) : undefined;

function toCaller(payload: JWTPayload, org: string | undefined): Caller {
  const { sub, role, roles: many, units } = payload;
  if (typeof sub !== "string" || sub === "") throw unauthenticated("The token has no subject.", "invalid_token");
  const claimedOrg = idOf(payload["org"]);
  if (org !== undefined && claimedOrg !== org)
    throw forbidden("wrong-org", "The token's org claim is not the organisation of this CAD.");
  const claimed = [role, many].flat();
  const roles = ROLES.filter((known) => claimed.includes(known));
  const best = highest(roles);
  if (!best) throw forbidden("forbidden", `The token has none of the roles ${ROLES.join(", ")}.`);
  const caller = { userId: sub, role: best, roles, ...(claimedOrg !== undefined && { org: claimedOrg }) };
  if (units === undefined) return caller;
  const ids = Array.isArray(units) ? units.map(idOf) : [undefined];
  if (!ids.every((id) => id !== undefined))
    throw unauthenticated("The token's units claim is not a list of unit ids.", "invalid_token");
  return { ...caller, units: ids };
}

/** Admits only callers with this role or a higher one. */
export function requireRole(authenticate: Authenticate, takes: Role): MiddlewareHandler<CallerEnv> {
  return async (c, next) => {
    const caller = await authenticate(c.req.header("Authorization"));
    // Set before a refusal, whose audit entry names the caller.
    c.set("caller", caller);
    await c.get("admitCaller")(caller.userId);
    if (!may(caller.roles, takes)) {
      const has = caller.roles.join(", ");
      throw forbidden("forbidden", `This needs the role ${takes}; the token has ${has}.`, { required_role: takes });
    }
    await next();
  };
}

/** The same, with the role of the endpoint. */
export const requireAccess = (authenticate: Authenticate, endpoint: GatedEndpoint): MiddlewareHandler<CallerEnv> =>
  requireRole(authenticate, ENDPOINTS[endpoint]);
