import { createHash, timingSafeEqual } from "node:crypto";
import type { Hono, MiddlewareHandler } from "hono";
import { EXPOSITION_TYPE, renderSamples } from "../../shared/metrics/exposition.ts";
import { createProblemTracker } from "../../shared/health/problem-tracker.ts";
import type { Bounds } from "../../shared/outbox/bounds.ts";
import type { Backend } from "../backend/backend.ts";
import { trustedHeartbeat } from "../backend/health-calls.ts";
import type { CallerEnv } from "../http/caller.ts";
import { type Authenticate, requireAccess } from "../middleware/auth.ts";
import { bridgeSamples, type BridgeState } from "./bridge-samples.ts";
import { assessHealth, healthWithoutRedis } from "./health.ts";

/** Produces the text of one scrape. Never throws: an unavailable Redis is a metric too. */
export type Scrape = () => Promise<string>;

export interface ScrapeDeps {
  backend: Backend;
  bounds: Bounds;
  now: () => Date;
  /** This process's own metrics; none at the edge. */
  ownText?: () => Promise<string>;
}

export function createScrape({ backend, bounds, now, ownText }: ScrapeDeps): Scrape {
  const { follow } = createProblemTracker(() => now().getTime());
  async function look(): Promise<BridgeState> {
    const timestamp = now().toISOString();
    try {
      const [heartbeat, backlog, figures, destinations] = await Promise.all([
        backend.lastHeartbeat(),
        backend.backlog(),
        backend.figures(),
        backend.destinations(),
      ]);
      const redis = { heartbeat: trustedHeartbeat(heartbeat), backlog, figures, destinations };
      return { bounds, health: assessHealth(heartbeat, backlog, timestamp, follow), redis };
    } catch (error) {
      return { bounds, health: healthWithoutRedis(error, timestamp, follow) };
    }
  }
  return async () => {
    const [state, own] = await Promise.all([look(), ownText?.()]);
    return `${own ?? ""}${own && !own.endsWith("\n") ? "\n" : ""}${renderSamples(bridgeSamples(state))}`;
  };
}

export interface MetricsDeps {
  authenticate: Authenticate;
  scrape: Scrape;
  /** METRICS_TOKEN, which grants access to this endpoint only. */
  metricsToken?: () => string | undefined;
}

/** The subject under which requests with METRICS_TOKEN are counted. */
const SCRAPER = "metrics";
const digest = (text: string) => createHash("sha256").update(text).digest();

/** GET /metrics: with METRICS_TOKEN or an admin's token. */
export function serveMetrics(
  app: Hono<CallerEnv>,
  { authenticate, scrape, metricsToken }: MetricsDeps,
  limitReads: MiddlewareHandler<CallerEnv>,
): void {
  const byRole = requireAccess(authenticate, "GET /metrics");
  const access: MiddlewareHandler<CallerEnv> = async (c, next) => {
    const given = c.req.header("Authorization");
    const token = metricsToken?.();
    if (!token || !given || !timingSafeEqual(digest(given), digest(`Bearer ${token}`))) return await byRole(c, next);
    c.set("caller", { userId: SCRAPER, role: "crew", roles: [] });
    await c.get("admitCaller")(SCRAPER);
    await next();
  };
  app.get("/metrics", access, limitReads, async (c) =>
    c.text(await scrape(), 200, { "Content-Type": EXPOSITION_TYPE }),
  );
}
