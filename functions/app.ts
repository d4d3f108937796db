import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { commands } from "../shared/commands/table.ts";
import type { Log } from "../shared/log.ts";
import { Problem } from "../shared/problem.ts";
import { redisFault } from "../shared/redis.ts";
import { toReceipt } from "../shared/receipt.ts";
import { acceptCommand, parseBody, requireJson } from "./accept.ts";
import { type Authenticate, type CallerEnv, requireRole } from "./auth.ts";
import type { Backend } from "./backend.ts";
import { serveDeadLetters } from "./dead-letters.ts";
import { limitBody } from "./limit-body.ts";
import { type DocsAssets, serveDocs } from "./docs.ts";
import { lookAtHealth } from "./health.ts";
import { openApi } from "./openapi/document.ts";
import { reconnect } from "./reconnect.ts";

export const BASE_PATH = "/api/socket-bridge";

export interface AppDeps {
  backend: Backend;
  authenticate: Authenticate;
  assets: DocsAssets;
  now: () => Date;
  newId: () => string;
  log: Log;
}

/** The HTTP API: a loop over the command table, and the few routes that are no commands. Keeps no state. */
export function createApp(deps: AppDeps): Hono<CallerEnv> {
  const { backend, authenticate, log } = deps;
  const app = new Hono<CallerEnv>().basePath(BASE_PATH);

  for (const command of commands) {
    app.post(
      `/${command.name}`,
      requireRole(authenticate, command.role),
      requireJson,
      limitBody,
      parseBody(command),
      acceptCommand(command, { ...deps, basePath: BASE_PATH }),
    );
  }

  app.get("/commands/:id", requireRole(authenticate, "crew"), async (c) => {
    const record = await backend.read(c.req.param("id"));
    if (!record) throw new Problem("not-found", "No command has this id, or it was settled longer than a day ago.");
    return c.json(toReceipt(record));
  });

  app.get("/health", async (c) => {
    const health = await lookAtHealth(backend, deps.now);
    return c.json(health, health.status === "unhealthy" ? 503 : 200, { "Cache-Control": "no-store" });
  });

  app.get("/status", requireRole(authenticate, "admin"), async (c) => {
    const [health, backlog, queued, beat] = await Promise.all([
      lookAtHealth(backend, deps.now),
      backend.backlog(),
      backend.queued(),
      backend.lastBeat(),
    ]);
    return c.json({ ...health, settled: backlog.counts, queue: queued, worker_report: beat?.health ?? null });
  });

  app.post("/reconnect", requireRole(authenticate, "admin"), async (c) => c.json(await reconnect(backend)));

  serveDeadLetters(app, deps);

  const document = openApi(BASE_PATH);
  app.get("/openapi.json", (c) => c.json(document));
  serveDocs(app, BASE_PATH, deps.assets);

  refuseOtherMethods(app);
  app.notFound(() => new Problem("not-found", "The API has no such path.").toResponse());
  app.onError((error) => toProblem(error, log).toResponse());
  return app;
}

/** A path that exists, asked with a method that it does not take. */
function refuseOtherMethods(app: Hono<CallerEnv>): void {
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method !== "ALL") methods.set(path, (methods.get(path) ?? new Set()).add(method));
  }
  for (const [path, allowed] of methods) {
    if (allowed.has("GET")) allowed.add("HEAD");
    const allow = [...allowed].join(", ");
    app.all(path.slice(BASE_PATH.length), () => {
      throw new Problem("method-not-allowed", `This path takes ${allow}.`, {}, { Allow: allow });
    });
  }
}

/** What went wrong, as far as the caller may know. What was not foreseen is logged and told as nothing more than that. */
function toProblem(error: Error, log: Log): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof HTTPException && error.status === 400)
    return new Problem("not-json", "The body could not be read as JSON.");
  const fault = redisFault(error);
  if (fault === "full")
    return new Problem("redis-full", "Redis is out of memory or cannot write. Nothing was accepted.");
  if (fault) return new Problem("redis-unavailable", "Redis did not answer in time.");
  log.error({ error: error.name, stack: error.stack }, "a request failed in a way that was not foreseen");
  return new Problem("internal", "Something failed that should not.");
}
