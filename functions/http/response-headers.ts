import type { Context, Hono } from "hono";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import { z } from "zod";
import type { Problem } from "./problem.ts";
import type { CallerEnv } from "./caller.ts";

/** Origins of web pages that may call the API. */
export const corsOrigins = z
  .string()
  .transform((text) => text.split(",").map((origin) => origin.trim()))
  .refine((origins) => origins.every((o) => URL.canParse(o) && new URL(o).origin === o), {
    error: "must be origins such as https://dispatch.example, separated by commas",
  })
  .describe("Origins of web pages that may call the API from a browser, separated by commas. None if not set.");

const MAX_REQUEST_ID = 128;
const CORS_MAX_AGE_S = 600;
const REQUEST_HEADERS = [
  ...["Authorization", "Content-Type", "Idempotency-Key", "Prefer", "Command-TTL", "X-Request-Id"],
  ...["Last-Event-ID", "traceparent"],
];
const ANSWER_HEADERS = [
  ...["Location", "Idempotency-Replayed", "Preference-Applied", "Retry-After", "X-Request-Id"],
  ...["RateLimit", "RateLimit-Policy", "WWW-Authenticate"],
];

/** No response may be rendered as a page or framed. /docs sets its own policy. */
const NOTHING = { defaultSrc: ["'none'"], frameAncestors: ["'none'"] };

/**
 * The headers of every response: protection against misuse by browsers, the request id, and `no-store` unless the route sets
 * something else.
 */
export function addCommonHeaders(app: Hono<CallerEnv>, newId: () => string, origins: readonly string[]): void {
  const secure = secureHeaders({
    contentSecurityPolicy: NOTHING,
    xFrameOptions: "DENY",
    // Only obsolete browsers, or pages, use these; each costs every answer 2 us.
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
    originAgentCluster: false,
    crossOriginOpenerPolicy: false,
    removePoweredBy: false,
    overwrite: false,
  });
  app.use("*", secure, requestId({ limitLength: MAX_REQUEST_ID, generator: newId }), async (c, next) => {
    c.header("Cache-Control", "no-store");
    await next();
  });
  if (origins.length > 0) {
    app.use(
      "*",
      cors({
        origin: [...origins],
        allowMethods: ["GET", "POST", "DELETE"],
        allowHeaders: REQUEST_HEADERS,
        exposeHeaders: ANSWER_HEADERS,
        maxAge: CORS_MAX_AGE_S,
      }),
    );
  }
}

/** A problem as a response, with the headers of every response. */
export function answerProblem(c: Context, problem: Problem): Response {
  const { body, status, headers } = problem.toAnswer(["GET", "HEAD"].includes(c.req.method));
  return c.newResponse(body, status, headers);
}
