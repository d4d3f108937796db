import type { MiddlewareHandler } from "hono";
import { toTraceparent } from "../../shared/tracing/traceparent.ts";
import type { Tracer } from "../../shared/tracing/tracer.ts";
import type { CallerEnv } from "../http/caller.ts";

/**
 * Begins the span of a request. A `traceparent` that is not valid is none, and no reason to refuse a command.
 * @param route the path without its ids
 */
export const traceRequest = (tracer: Tracer, route: string): MiddlewareHandler<CallerEnv> =>
  async function traced(c, next) {
    const attributes = { "http.request.method": c.req.method, "http.route": route };
    const span = tracer.start("request", toTraceparent(c.req.header("traceparent")), attributes);
    c.set("traceparent", span.traceparent);
    await next();
    const { status } = c.res;
    span.end({ "http.response.status_code": status }, status >= 500 ? `answered ${status}` : undefined);
  };
