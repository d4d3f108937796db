import { type Context, Hono, type MiddlewareHandler } from "hono";
import { getPath as pathOf } from "hono/utils/url";
import { commands } from "../shared/commands/table.ts";
import type { Log } from "../shared/util/log.ts";
import { noSuch, Problem, type ProblemCode } from "./http/problem.ts";
import { faultReason, redisFault, type RedisFaultKind } from "../shared/redis/fault.ts";
import { SealError } from "../shared/sealing/seal.ts";
import { eventSchema } from "../shared/events/contract.ts";
import { toCommandReceipt } from "../shared/commands/receipt.ts";
import type { Measure } from "../shared/metrics/measure.ts";
import type { NaiveTimes } from "../shared/vocabulary/fields.ts";
import type { Sealer } from "../shared/sealing/seal.ts";
import { auditAdminAction, auditRead, auditMisses, auditEachRead, auditRefusal, serveAudit } from "./routes/audit.ts";
import { acceptCommand, parseBody, type TakeCommand } from "./routes/commands.ts";
import { asyncApi } from "./asyncapi/document.ts";
import { type Authenticate, requireAccess, requireRole } from "./middleware/auth.ts";
import type { CallerEnv } from "./http/caller.ts";
import type { Backend } from "./backend/backend.ts";
import { serveDeadLetters } from "./routes/dead-letters.ts";
import { serveDestinations } from "./routes/destinations.ts";
import { type AdminAssets, serveAdmin } from "./routes/admin.ts";
import { serveCommandSearch } from "./routes/command-search.ts";
import { serveTimeline } from "./routes/timeline.ts";
import { serveHistory } from "./routes/history.ts";
import { type DocsAssets, PUBLIC, serveDocs } from "./routes/docs.ts";
import { serveEvents } from "./routes/events.ts";
import { FORGET_PROBLEMS_MS, lookAtHealth, lookAtStatus } from "./routes/health.ts";
import { type Scrape, serveMetrics } from "./routes/metrics.ts";
import { createProblemTracker } from "../shared/health/problem-tracker.ts";
import { addCommonHeaders, answerProblem } from "./http/response-headers.ts";
import { limitConcurrentReads } from "./middleware/concurrent-reads.ts";
import { limitRequests } from "./middleware/rate-limits.ts";
import type { Quotas } from "./config/quotas.ts";
import { noBody } from "./http/json-body.ts";
import { openApi } from "./openapi/document.ts";
import { NO_TRACER, type Tracer } from "../shared/tracing/tracer.ts";
import { traceRequest } from "./middleware/trace.ts";
import { reconnect } from "./routes/reconnect.ts";
import { mayTouch, requireScope } from "./middleware/scope.ts";
import { serveState } from "./routes/state.ts";
import type { StreamLimits } from "./config/stream-env.ts";

export const BASE_PATH = "/api/socket-bridge";

export interface AppDeps {
  backend: Backend;
  /** The API's base path; BASE_PATH, except for one CAD of several. */
  basePath?: string;
  /** The path used for routing, if it differs from the request's. */
  getPath?: (path: string) => string;
  /** With several CADs: selects a command's CAD. */
  take?: TakeCommand;
  /** The ids of several CADs, if this is the API of all of them. */
  several?: readonly string[];
  /** With several CADs: registers routes that precede those of a single CAD. */
  front?: (app: Hono<CallerEnv>) => void;
  sealer: Sealer;
  authenticate: Authenticate;
  assets: DocsAssets;
  adminAssets: AdminAssets;
  now: () => Date;
  newId: () => string;
  /** The client's address, as far as the host knows it. */
  clientAddress: (c: Context) => string;
  /** Origins of web pages that may call the API. */
  corsOrigins: readonly string[];
  maxBodyBytes: number;
  naiveTimes: NaiveTimes;
  streams: StreamLimits;
  /** Aborts when the host stops. */
  stopping: AbortSignal;
  /** Closes a request's connection at once, discarding unsent data. */
  cutOff: (c: Context) => void;
  quotas: Quotas;
  /** Compresses answers; absent where the platform does it. */
  compress?: MiddlewareHandler;
  /** Lets a task end after the response; without it, the response waits for the task. */
  afterResponse?: (c: Context, task: Promise<void>) => void;
  measure: Measure;
  tracer?: Tracer;
  /** For GET /metrics. */
  scrape: Scrape;
  /** METRICS_TOKEN. */
  metricsToken?: () => string | undefined;
  /** A monotonic clock, ms. */
  monotonic: () => number;
  log: Log;
}

/** The HTTP API: one loop over the command table, and the routes that are not commands. Stateless. */
export function createApp(deps: AppDeps): Hono<CallerEnv> {
  const { backend, authenticate, basePath = BASE_PATH, getPath, tracer = NO_TRACER, log } = deps;
  const everything = new Hono<CallerEnv>(getPath ? { getPath: (request) => getPath(pathOf(request)) } : {});
  addCommonHeaders(everything, deps.newId, deps.corsOrigins);
  everything.use("*", async (c, next) => {
    c.set("clientAddress", deps.clientAddress(c));
    c.set("maxBodyBytes", deps.maxBodyBytes);
    await next();
  });
  if (deps.compress) everything.get("*", deps.compress);
  limitRequests(everything, {
    quotas: deps.quotas,
    take: (...args) => backend.takePoints(...args),
    basePath,
    now: deps.monotonic,
  });
  const app = everything.basePath(basePath);
  const noteAction = auditAdminAction({ backend, basePath, log });
  const recordRead = auditEachRead({ backend, basePath, log });

  for (const command of commands) {
    app.post(
      `/${command.name}`,
      traceRequest(tracer, `/${command.name}`),
      requireRole(authenticate, command.role),
      parseBody(command),
      requireScope(command),
      acceptCommand(command, { ...deps, tracer, basePath }),
    );
  }

  deps.front?.(app);
  app.get("/commands/:id", requireAccess(authenticate, "GET /commands/{id}"), async (c) => {
    const record = await backend.read(c.req.param("id"));
    // Another unit's command does not exist for a caller with a scope.
    if (!record || !mayTouch(c.get("caller"), record.keys))
      throw noSuch("command", c.req.param("id"), "; receipts are kept for one day after the command was settled");
    const hold = record.held || record.state === "queued" ? await backend.readHold(record) : undefined;
    return c.json(toCommandReceipt(record, hold));
  });

  const problems = createProblemTracker(() => deps.now().getTime(), FORGET_PROBLEMS_MS);
  app.get("/health", async (c) => {
    const health = await lookAtHealth(backend, deps.now, problems.follow);
    return c.json(health, health.status === "unhealthy" ? 503 : 200);
  });

  const redisProblems = createProblemTracker(() => deps.now().getTime(), FORGET_PROBLEMS_MS);
  app.get("/status", requireAccess(authenticate, "GET /status"), async (c) => {
    return c.json(await lookAtStatus(backend, deps.now, problems.follow, redisProblems.follow));
  });

  app.post("/reconnect", requireAccess(authenticate, "POST /reconnect"), noBody, noteAction, async (c) =>
    c.json(await reconnect(backend)),
  );

  const limitReads = limitConcurrentReads(deps.quotas.readsAtOnce);
  serveMetrics(app, deps, limitReads);
  const recordMiss = auditMisses({ backend, basePath, log });
  serveDeadLetters(app, { ...deps, limitReads, basePath, noteAction, recordMiss, noted: recordRead });
  serveDestinations(app, { ...deps, noteAction });
  serveAudit(app, { ...deps, limitReads }, recordRead);
  const auditReads = auditRead({ backend, basePath, log });
  serveEvents(app, { ...deps, limitReads, noted: auditReads });
  serveCommandSearch(app, { ...deps, limitReads, noted: auditReads });
  serveHistory(app, deps);
  serveTimeline(app, { ...deps, limitReads, noted: auditReads });
  const state = serveState(app, { ...deps, noted: auditReads });
  state.lists();

  const documents = { "/openapi.json": (at: string) => openApi(at, deps.several), "/asyncapi.json": asyncApi };
  for (const [path, make] of Object.entries(documents)) {
    const bytes = once(() => new TextEncoder().encode(JSON.stringify(make(basePath))));
    app.get(path, (c) => c.body(bytes(), 200, { "Content-Type": "application/json", ...PUBLIC }));
  }
  app.get("/schemas/:event/:version", (c) => {
    const { event, version } = c.req.param();
    const schema = eventSchema(event, version);
    if (!schema) throw noSuch("schema", `${event}/${version}`);
    return c.json(schema, 200, PUBLIC);
  });
  serveDocs(app, basePath, deps.assets);
  serveAdmin(app, deps.adminAssets);

  state.single();
  refuseOtherMethods(app, basePath);
  everything.notFound((c) => answerProblem(c, noSuch("path", c.req.path, " in this API")));
  const sayFault = createFaultLog(log, deps.monotonic);
  everything.onError(async (error, c) => {
    const problem = await beyondLimit(c, toProblem(error, log));
    deps.measure.count("socket_bridge_refused_total", { code: problem.code });
    sayFault(problem);
    const recorded = auditRefusal(c, problem, { backend, basePath, log });
    if (deps.afterResponse) deps.afterResponse(c, recorded);
    else await recorded;
    return answerProblem(c, problem);
  });
  return everything;
}

/**
 * Creates it on first use: a host that starts often need not create what is not read. Cached: clients that request it without
 * a token and never read it then share one buffer.
 */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

/** Over the limit of requests without a valid token, the response is 429 instead of 401. */
async function beyondLimit(c: Context<CallerEnv>, problem: Problem): Promise<Problem> {
  if (problem.code !== "unauthenticated") return problem;
  try {
    await c.get("admitStranger")();
    return problem;
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

/** Whether a path without parameters also matches a pattern: /units/status matches /units/:id. */
const fits = (pattern: string, path: string): boolean =>
  !path.includes(":") && pattern.includes(":") && new RegExp(`^${pattern.replaceAll(/:\w+/g, "[^/]+")}$`).test(path);

/** Refuses an existing path with the wrong method. Routes registered later do not get these paths. */
function refuseOtherMethods(app: Hono<CallerEnv>, basePath: string): void {
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method !== "ALL") methods.set(path, (methods.get(path) ?? new Set()).add(method));
  }
  for (const [path, allowed] of methods) {
    for (const [pattern, more] of methods) if (fits(pattern, path)) for (const method of more) allowed.add(method);
    if (allowed.has("GET")) allowed.add("HEAD");
    const allow = [...allowed].toSorted().join(", ");
    app.all(path.slice(basePath.length), () => {
      throw new Problem("method-not-allowed", `This path takes ${allow}.`, {}, { Allow: allow });
    });
  }
}

/** Node's error for a body whose connection was closed. */
const isCutOff = (error: Error & { code?: unknown }): boolean =>
  error.message === "aborted" && error.code === "ECONNRESET";

/** Redis faults as problems. Only with `unavailable` may the request have been accepted: its answer may be lost. */
const REDIS_PROBLEMS = {
  unavailable: ["redis-unavailable", "Redis did not answer in time."],
  full: ["redis-full", "Redis is out of memory or cannot write. Nothing was accepted."],
  moving: ["redis-moving", "The Redis Cluster is moving the bridge's keys to another node. Nothing was accepted."],
  refused: ["redis-refused", "Redis refuses the bridge"],
  unsuitable: ["redis-unsuitable", "Redis cannot be used"],
} as const satisfies Record<RedisFaultKind, readonly [ProblemCode, string]>;

/** Errors that only an operator can fix are logged at most once per this time, ms. */
const SAY_EVERY_MS = 60_000;

function createFaultLog(log: Log, now: () => number): (problem: Problem) => void {
  const loggedAt = new Map<string, number>();
  return ({ code, message }) => {
    if (code !== "redis-refused" && code !== "redis-unsuitable") return;
    if (now() - (loggedAt.get(message) ?? -Infinity) < SAY_EVERY_MS) return;
    loggedAt.set(message, now());
    log.error({ code, reason: message }, "Redis refused or failed an operation");
  };
}

function redisProblem(error: unknown): Problem | undefined {
  const kind = redisFault(error);
  if (!kind) return undefined;
  const [code, detail] = REDIS_PROBLEMS[kind];
  return new Problem(code, detail.endsWith(".") ? detail : `${detail}: ${faultReason(error)}.`);
}

/** A stored record is forged, or cannot be verified with the configured keys. */
const ofSeal = ({ code, message }: SealError): Problem =>
  new Problem(code === "tampered" ? "forged-record" : "unreadable-payload", `It is not returned: ${message}.`);

/** The problem as the caller may see it. An unexpected error is logged and reported as `internal`. */
function toProblem(error: Error, log: Log): Problem {
  if (error instanceof Problem) return error;
  if (isCutOff(error)) return new Problem("not-json", "The connection was closed before the whole body was received.");
  const fault = redisProblem(error);
  if (fault) return fault;
  if (error instanceof SealError) return ofSeal(error);
  log.error({ error: error.name, stack: error.stack }, "unexpected error in a request");
  return new Problem("internal", "An unexpected error occurred.");
}
