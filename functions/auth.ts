import type { MiddlewareHandler } from "hono";
import { errors, type JWTPayload, jwtVerify } from "jose";
import { Problem } from "../shared/problem.ts";
import { highest, may, type Role, ROLES } from "../shared/roles.ts";

/** Who asks, as the token says. */
export interface Caller {
  userId: string;
  role: Role;
  roles: readonly Role[];
}

export type CallerEnv = { Variables: { caller: Caller } & RequestVariables };

/** What is known of every request before anyone asks who it is from. */
interface RequestVariables {
  requestId: string;
  clientAddress: string;
  maxBodyBytes: number;
}

/** Finds out who asks. Throws a Problem: 401 without a valid token, 403 without a role that the bridge knows. */
export type Authenticate = (authorization: string | undefined) => Promise<Caller>;

/** How many verified tokens are remembered. A service sends many requests with one token. */
const MAX_REMEMBERED = 1000;

/**
 * Remembers whom a verified token names until the token expires: verifying costs as much as all the rest of a request.
 * The oldest gives way to a new one.
 */
function rememberVerified(verify: Verify, now: () => number): Verify {
  const known = new Map<string, Verified>();
  return async (token) => {
    const before = known.get(token);
    if (before && now() < before.expiresAt) return before;
    known.delete(token);
    const verified = await verify(token);
    if (known.size >= MAX_REMEMBERED) known.delete(known.keys().next().value ?? "");
    known.set(token, verified);
    return verified;
  };
}

interface Verified {
  caller: Caller;
  /** Milliseconds since 1970. */
  expiresAt: number;
}
type Verify = (token: string) => Promise<Verified>;

/** @param secret at least 32 characters; tokens are HS256 and nothing else, with `sub`, `role` or `roles`, and `exp`. */
export function createAuthenticate(secret: string, now: () => number = Date.now): Authenticate {
  const key = new TextEncoder().encode(secret);
  const verify = rememberVerified(async (token) => {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ["HS256"],
      requiredClaims: ["sub", "exp"],
      currentDate: new Date(now()),
    });
    return { caller: toCaller(payload), expiresAt: (payload.exp ?? 0) * 1000 };
  }, now);
  return async (authorization) => {
    const [, token] = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization ?? "") ?? [];
    if (!token) throw unauthenticated("The request carries no bearer token.");
    try {
      return (await verify(token)).caller;
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      throw unauthenticated(
        error instanceof errors.JWTExpired ? "The token has expired." : "The token is not valid.",
        "invalid_token",
      );
    }
  };
}

function unauthenticated(detail: string, error?: string): Problem {
  const challenge = error ? `Bearer realm="socket-bridge", error="${error}"` : 'Bearer realm="socket-bridge"';
  return new Problem("unauthenticated", detail, {}, { "WWW-Authenticate": challenge });
}

function toCaller(payload: JWTPayload): Caller {
  const { sub, role, roles: many } = payload as { sub?: unknown; role?: unknown; roles?: unknown };
  const claimed = [role, many].flat();
  const roles = ROLES.filter((known) => claimed.includes(known));
  const best = highest(roles);
  if (typeof sub !== "string" || sub === "") throw unauthenticated("The token names no subject.", "invalid_token");
  if (!best) throw new Problem("forbidden", `The token has none of the roles ${ROLES.join(", ")}.`);
  return { userId: sub, role: best, roles };
}

/** Lets only those pass who have the role, or one above it. */
export function requireRole(authenticate: Authenticate, takes: Role): MiddlewareHandler<CallerEnv> {
  return async (c, next) => {
    const caller = await authenticate(c.req.header("Authorization"));
    if (!may(caller.roles, takes)) {
      throw new Problem("forbidden", `This takes the role ${takes}; the token has ${caller.roles.join(", ")}.`, {
        required_role: takes,
      });
    }
    c.set("caller", caller);
    await next();
  };
}
