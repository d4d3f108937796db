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

export type CallerEnv = { Variables: { caller: Caller } };

/** Finds out who asks. Throws a Problem: 401 without a valid token, 403 without a role that the bridge knows. */
export type Authenticate = (authorization: string | undefined) => Promise<Caller>;

/** @param secret at least 32 characters; tokens are HS256 and nothing else, with `sub`, `role` or `roles`, and `exp`. */
export function createAuthenticate(secret: string): Authenticate {
  const key = new TextEncoder().encode(secret);
  return async (authorization) => {
    const [, token] = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization ?? "") ?? [];
    if (!token) throw unauthenticated("The request carries no bearer token.");
    try {
      const { payload } = await jwtVerify(token, key, { algorithms: ["HS256"], requiredClaims: ["sub", "exp"] });
      return toCaller(payload);
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
