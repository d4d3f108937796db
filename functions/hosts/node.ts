import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { HttpBindings } from "@hono/node-server";
import { getConnInfo } from "@hono/node-server/conninfo";
import type { Context, MiddlewareHandler } from "hono";
import { compress } from "hono/compress";
import type { Log } from "../../shared/util/log.ts";
import { fromDisk, runProgram } from "../../shared/config/program.ts";
import { openSealer } from "../../shared/sealing/open-sealer.ts";
import { loadCads } from "../../shared/cads/load.ts";
import { createApp } from "../app.ts";
import { cadsOfApi } from "../cads/choose.ts";
import { createFront } from "../cads/front.ts";
import { createAuthenticate } from "../middleware/auth.ts";
import { clientAddress } from "../http/client-address.ts";
import { type FunctionsConfig, functionsEnv } from "../config/node-config.ts";
import type { Backend } from "../backend/backend.ts";
import { type ConnectedBackend, connectBackend } from "../backend/connect-backend.ts";
import type { AdminAssets } from "../routes/admin.ts";
import type { DocsAssets } from "../routes/docs.ts";
import { listen } from "./node-server.ts";
import { toBounds } from "../config/backlog-env.ts";
import { createScrape } from "../routes/metrics.ts";
import { countSpans } from "../../shared/metrics/spans.ts";
import { openTracing } from "../../shared/tracing/open-tracer.ts";
import { createProcessMetrics } from "../../shared/metrics/process-metrics.ts";
import { startMetricsServer } from "./metrics-server.ts";
import { streamLimits } from "../config/stream-env.ts";
import { toQuotas } from "../config/quotas.ts";

/** How long requests in progress may continue once the host stops, ms. */
const DRAIN_MS = 5000;

async function readAsset(name: string): ReturnType<DocsAssets> {
  const path = createRequire(import.meta.url).resolve(`swagger-ui-dist/${name}`);
  return Uint8Array.from(await readFile(path));
}

/** The admin page's files, read at each request: they are few and small. */
const fromFolder: AdminAssets = (name) => readFile(new URL(`../admin/${name}`, import.meta.url), "utf8");

/** Reads each file once: clients that request it without a token and never read it then share one buffer. */
function fromPackage(): DocsAssets {
  const files = new Map<string, ReturnType<DocsAssets>>();
  return (name) => {
    const known = files.get(name);
    if (known) return known;
    const file = readAsset(name);
    files.set(name, file);
    // A failed read is retried next time.
    file.catch(() => files.delete(name));
    return file;
  };
}

/** Not event streams: each event must be sent at once. */
const gzip = compress({ contentTypeFilter: /^(?:application\/json|text\/csv)\b/ });
/** Files are the same bytes for every client: compressed, each client would need its own buffer. */
const FILES = /\/(?:docs|admin)\b/;
const compressOnRequest: MiddlewareHandler = (c, next) =>
  c.req.header("Accept-Encoding") === undefined || FILES.test(c.req.path) ? next() : gzip(c, next);

const now = (): Date => new Date();

/** The functions on Node: the app behind an HTTP server. `stop` lets requests in progress finish. */
export async function startFunctions(
  config: FunctionsConfig,
  log: Log,
): Promise<{
  port: number;
  metricsPort: number | undefined;
  /** Replaces the secrets that sign tokens; everything else stays. */
  reload(next: FunctionsConfig): void;
  stop(): Promise<void>;
}> {
  const several = config.CADS_FILE === undefined ? [] : loadCads(config.CADS_FILE, config.REDIS_PREFIX, fromDisk);
  const sealer = openSealer(config, log);
  const connections = [config.REDIS_PREFIX, ...several.map(({ prefix }) => prefix)].map((prefix) =>
    connectBackend({ ...config, REDIS_PREFIX: prefix }, sealer, log),
  );
  const [common, ...ofCads] = connections as [ConnectedBackend, ...ConnectedBackend[]];
  const { backend } = common;
  const moves = common.moves(new Map(several.map(({ id, prefix }) => [id, prefix])));
  const stopping = new AbortController();
  const metrics = createProcessMetrics("functions");
  const onOutcome = countSpans(metrics);
  const tracing = await openTracing({ config, process: "functions", onOutcome, background: true, log });
  const scrapeOf = (of: Backend, ownText?: () => Promise<string>) =>
    createScrape({ backend: of, bounds: toBounds(config), now, ...(ownText && { ownText }) });
  // With several CADs, each decides whose tokens it accepts.
  const accessOf = (given: FunctionsConfig) => ({
    authenticate: createAuthenticate(several.length > 0 ? { ...given, ORG: undefined } : given, { log }),
    metricsToken: given.METRICS_TOKEN,
  });
  let access = accessOf(config);
  const deps = {
    sealer,
    authenticate: (authorization: string | undefined) => access.authenticate(authorization),
    assets: fromPackage(),
    now,
    adminAssets: fromFolder,
    newId: () => crypto.randomUUID(),
    clientAddress: (c: Context) =>
      clientAddress(getConnInfo(c).remote.address, c.req.header("X-Forwarded-For"), config.TRUST_PROXY ?? []),
    corsOrigins: config.CORS_ORIGINS ?? [],
    maxBodyBytes: config.MAX_BODY_BYTES,
    naiveTimes: config.NAIVE_TIMES,
    streams: streamLimits(config),
    stopping: stopping.signal,
    cutOff: (c: Context) => void (c.env as HttpBindings).outgoing.destroy(),
    quotas: toQuotas(config),
    compress: compressOnRequest,
    measure: metrics,
    tracer: tracing.tracer,
    metricsToken: () => access.metricsToken,
    monotonic: () => performance.now(),
    log,
  };
  const ownScrape = scrapeOf(backend, metrics.text);
  const cads = cadsOfApi(several, config.ORG, (_, i) => ofCads[i]?.backend ?? backend);
  const app =
    several.length > 0
      ? createFront({ ...deps, cads, common: backend, moves, scrapeOf, ownText: metrics.text })
      : { fetch: createApp({ ...deps, backend, scrape: ownScrape }).fetch, scrape: ownScrape };

  await Promise.all(connections.map(({ connected }) => connected));
  const { server, port } = await listen(app.fetch, config);
  const metricsServer =
    config.METRICS_PORT === undefined
      ? undefined
      : await startMetricsServer(config.METRICS_HOST, config.METRICS_PORT, app.scrape);
  log.info({ host: config.HOST, port, metrics_port: metricsServer?.port }, "the functions have started");

  let stopped: Promise<void> | undefined;
  async function stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    stopping.abort();
    for (const { backend: each } of connections) each.endWaits();
    const cut = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
    await closed;
    clearTimeout(cut);
    await Promise.all([metricsServer?.stop(), tracing.stop()]);
    metrics.stop();
    await Promise.all(connections.map(({ close }) => close()));
  }
  const reload = (next: FunctionsConfig) => void (access = accessOf(next));
  return { port, metricsPort: metricsServer?.port, reload, stop: () => (stopped ??= stop()) };
}

if (import.meta.main) {
  await runProgram({
    name: "functions",
    what: "The functions: the HTTP API that accepts commands and reports their state.",
    env: functionsEnv,
    start: startFunctions,
  });
}
