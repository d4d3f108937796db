import type { ExecutionContext } from "hono";
import { ConfigError } from "../../shared/config/config.ts";
import { Problem } from "../http/problem.ts";
import { openSealer } from "../../shared/sealing/open-sealer.ts";
import { createApp } from "../app.ts";
import { createAuthenticate } from "../middleware/auth.ts";
import { normalAddress } from "../http/client-address.ts";
import { adminFiles } from "./edge/admin-files.ts";
import type { DocsAssets } from "../routes/docs.ts";
import { toBounds } from "../config/backlog-env.ts";
import { createScrape } from "../routes/metrics.ts";
import { NO_MEASURE } from "../../shared/metrics/measure.ts";
import { toQuotas } from "../config/quotas.ts";
import { type Bindings, edgeConfig } from "./edge/config.ts";
import { consoleLog } from "./edge/console-log.ts";
import { remoteBackend } from "./edge/remote-backend.ts";
import { openTracing, type Tracing } from "../../shared/tracing/open-tracer.ts";
import { streamLimits } from "../config/stream-env.ts";

export { CadBackend } from "./edge/cad-backend.ts";

const now = (): Date => new Date();

/** The functions on Cloudflare Workers: the app in any number of isolates, the Redis connections in Durable Objects. */
async function startFunctions(env: Bindings): Promise<{ app: ReturnType<typeof createApp>; tracing: Tracing }> {
  const config = edgeConfig(env);
  const log = consoleLog("functions", config.LOG_LEVEL);
  const fromAssets: DocsAssets = async (name) => {
    const response = await env.ASSETS.fetch(`https://assets/${name}`);
    if (!response.ok) throw new Error(`the file ${name} was not deployed with the worker`);
    return new Uint8Array(await response.arrayBuffer());
  };
  const { REDIS_PREFIX: prefix, EDGE_SHARDS: shards } = config;
  const backend = remoteBackend({ objects: env.CAD_BACKEND, prefix, shards, random: Math.random, log });
  const tracing = await openTracing({ config, process: "functions", background: false, log });
  const app = createApp({
    backend,
    sealer: openSealer(config, log),
    authenticate: createAuthenticate(config, { log }),
    assets: fromAssets,
    now,
    adminAssets: async (name) => adminFiles[name],
    newId: () => crypto.randomUUID(),
    // Cloudflare overwrites what the client sent.
    clientAddress: (c) => normalAddress(c.req.header("CF-Connecting-IP")),
    corsOrigins: config.CORS_ORIGINS ?? [],
    maxBodyBytes: config.MAX_BODY_BYTES,
    naiveTimes: config.NAIVE_TIMES,
    streams: streamLimits(config),
    afterResponse: (c, task) => c.executionCtx.waitUntil(task),
    // The runtime ends what it stops, and closes connections that are no longer written to.
    stopping: new AbortController().signal,
    cutOff: () => undefined,
    quotas: toQuotas(config),
    // An isolate is too short-lived for its own counters: all values are read from Redis.
    measure: NO_MEASURE,
    tracer: tracing.tracer,
    scrape: createScrape({ backend, bounds: toBounds(config), now }),
    metricsToken: () => config.METRICS_TOKEN,
    monotonic: () => performance.now(),
    log,
  });
  return { app, tracing };
}

/** Created by the first request: when an isolate starts, its secrets may not be available yet. */
let started: ReturnType<typeof startFunctions> | undefined;

export default {
  async fetch(request: Request, env: Bindings, context: ExecutionContext): Promise<Response> {
    let running: Awaited<typeof started>;
    try {
      running = await (started ??= startFunctions(env));
    } catch (error) {
      // What was missing may be there with the next request.
      started = undefined;
      if (!(error instanceof ConfigError)) throw error;
      consoleLog("functions", "error").error({ problems: error.problems }, "invalid configuration");
      return new Problem("internal", "The configuration is invalid; the log names what is wrong.").toResponse();
    }
    const response = await running.app.fetch(request, env, context);
    // Nothing runs between requests: the spans of this one leave with it.
    context.waitUntil(running.tracing.flush());
    return response;
  },
};
