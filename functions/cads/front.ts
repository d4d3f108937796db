import type { Hono } from "hono";
import { getPath as pathOf } from "hono/utils/url";
import type { Moves } from "../../shared/moves/moves.ts";
import { createRoutingTable, type RoutingTable } from "../../shared/cads/routing.ts";
import { commands } from "../../shared/commands/table.ts";
import { createProblemTracker } from "../../shared/health/problem-tracker.ts";
import { statusOfSeveral } from "../../shared/health/problems.ts";
import { mergeExpositions } from "../../shared/metrics/merge.ts";
import { ENDPOINTS, type GatedEndpoint } from "../../shared/vocabulary/roles.ts";
import { type AppDeps, BASE_PATH, createApp } from "../app.ts";
import type { Backend } from "../backend/backend.ts";
import type { CallerEnv } from "../http/caller.ts";
import { Problem } from "../http/problem.ts";
import { type Authenticate, forbidden, requireAccess } from "../middleware/auth.ts";
import { FORGET_PROBLEMS_MS, lookAtHealth, lookAtStatus } from "../routes/health.ts";
import type { Scrape } from "../routes/metrics.ts";
import { admits, type CadOfApi, createChooser } from "./choose.ts";
import { serveCadList } from "./list.ts";
import { serveMoves } from "./moves.ts";
import { createTake } from "./take.ts";

/** The dependencies that differ for each CAD's app. */
type OwnDeps = "backend" | "scrape" | "basePath" | "getPath" | "take" | "front" | "several";

export interface FrontDeps extends Omit<AppDeps, OwnDeps> {
  cads: readonly Omit<CadOfApi, "basePath">[];
  /** The backend of REDIS_PREFIX itself: what the CADs share. */
  common: Pick<Backend, "seenIn" | "rememberIncident" | "takePoints">;
  moves: Moves;
  scrapeOf(backend: Backend): Scrape;
  /** This process's own metrics. */
  ownText?: () => Promise<string>;
}

type Fetch = (request: Request, bindings?: object) => Response | Promise<Response>;

const COMMANDS: ReadonlySet<string> = new Set(commands.map(({ name }) => `/${name}`));
/** Paths that the front answers itself: they concern no CAD, or all. */
const OWN =
  /^\/(?:cads|health|status|metrics|openapi\.json|asyncapi\.json|schemas|docs|admin)(?:\/|$)|^\/units\/[^/]+\/move$/;
const OWN_ENDPOINTS: ReadonlySet<string> = new Set(["GET /status", "GET /metrics"]);

/**
 * Several CADs behind one API. `/api/socket-bridge/cads/{cad}/…` is the whole API of one CAD; everything else goes to the CAD
 * selected by the routing table. Each CAD's app is that of a single CAD.
 */
export function createFront(deps: FrontDeps): { fetch: Fetch; scrape: Scrape } {
  const { common } = deps;
  const cads = deps.cads.map((cad): CadOfApi => ({
    ...cad,
    basePath: `${BASE_PATH}/cads/${cad.id}`,
    // A caller has one quota across all CADs.
    backend: { ...cad.backend, takePoints: common.takePoints },
  }));
  const table = createRoutingTable(cads);
  const { moves, monotonic } = deps;
  const chooser = createChooser({ cads, table, incidents: common, moves, monotonic });
  const taking = { cads, chooser, moves, monotonic };
  const scrapes = new Map(
    cads.map(({ id, backend }) => {
      const scrape = deps.scrapeOf(backend);
      return [id, async () => mergeExpositions([{ labels: { cad: id }, text: await scrape() }])] as const;
    }),
  );
  const scrape: Scrape = async () => {
    const texts = await Promise.all([...scrapes.values()].map((one) => one()));
    const own = (await deps.ownText?.()) ?? "";
    return mergeExpositions([own, ...texts].map((text) => ({ labels: {}, text })));
  };
  const apps = new Map(
    cads.map((cad) => {
      const { basePath, backend } = cad;
      const app = createApp({
        ...deps,
        backend,
        basePath,
        // Once the CAD is chosen, the request is routed as below the CAD's own path.
        getPath: (path) => (path.startsWith(`${basePath}/`) ? path : `${basePath}${path.slice(BASE_PATH.length)}`),
        scrape: scrapes.get(cad.id) ?? scrape,
        authenticate: ofOrganisations(deps.authenticate, cad),
        take: createTake(taking, cad),
      });
      return [cad.id, app] as const;
    }),
  );
  const [first] = cads;
  if (!first) throw new TypeError("there is no CAD");
  /** Why no CAD was chosen for a request, which the front then answers with that problem. */
  const whyHere = new WeakMap<Request, unknown>();
  const front = createApp({
    ...deps,
    // What concerns no CAD, such as a request without a token, is recorded in the audit trail of the first one.
    backend: first.backend,
    scrape,
    several: cads.map(({ id }) => id),
    take: createTake(taking),
    front: (app) => serveFront(app, { ...deps, cads, table }, (request) => whyHere.get(request)),
  });

  async function appFor(request: Request, path: string): Promise<Hono<CallerEnv>> {
    const addressed = /^\/cads\/([^/]+)/.exec(path)?.[1];
    if (addressed !== undefined) return apps.get(addressed) ?? front;
    if (request.method === "OPTIONS" || OWN.test(path) || COMMANDS.has(path)) return front;
    try {
      const caller = await deps.authenticate(request.headers.get("Authorization") ?? undefined);
      const query = new URL(request.url).searchParams;
      return apps.get((await chooser.forRead(path, query, caller)).id) ?? front;
    } catch (error) {
      whyHere.set(request, error);
      return front;
    }
  }
  return {
    scrape,
    async fetch(request, bindings) {
      const path = pathOf(request);
      const app = path.startsWith(`${BASE_PATH}/`) ? await appFor(request, path.slice(BASE_PATH.length)) : front;
      return await app.fetch(request, bindings);
    },
  };
}

const ofOrganisations =
  (authenticate: Authenticate, cad: CadOfApi): Authenticate =>
  async (authorization) => {
    const caller = await authenticate(authorization);
    if (admits(cad, caller)) return caller;
    throw forbidden("wrong-org", "The token's org claim is not an organisation of this CAD.");
  };

const each = async <T>(of: readonly CadOfApi[], look: (cad: CadOfApi) => Promise<T>) =>
  await Promise.all(of.map(async (cad) => [cad.id, await look(cad)] as const));

/** What the front answers itself: the health of all CADs, and requests for which no CAD could be decided. */
function serveFront(
  app: Hono<CallerEnv>,
  deps: Pick<FrontDeps, "authenticate" | "now" | "moves"> & { cads: readonly CadOfApi[]; table: RoutingTable },
  whyHere: (request: Request) => unknown,
): void {
  const { cads, authenticate, now } = deps;
  const trackers = new Map(
    cads.map(({ id }) => [id, createProblemTracker(() => now().getTime(), FORGET_PROBLEMS_MS).follow]),
  );
  const redisProblems = createProblemTracker(() => now().getTime(), FORGET_PROBLEMS_MS);
  const follow = (id: string) => trackers.get(id) ?? createProblemTracker(() => now().getTime()).follow;

  serveCadList(app, {
    cads,
    authenticate,
    healthOf: ({ id, backend }) => lookAtHealth(backend, now, follow(id)),
  });
  serveMoves(app, { ...deps, basePath: BASE_PATH });
  app.get("/health", async (c) => {
    const found = await each(cads, ({ id, backend }) => lookAtHealth(backend, now, follow(id)));
    const status = statusOfSeveral(found.map(([, health]) => health.status));
    const problems = found.flatMap(([cad, health]) => health.problems.map((problem) => ({ cad, ...problem })));
    const body = { status, problems, cads: Object.fromEntries(found), timestamp: now().toISOString() };
    return c.json(body, status === "unhealthy" ? 503 : 200);
  });
  app.get("/status", requireAccess(authenticate, "GET /status"), async (c) => {
    const mine = cads.filter((cad) => admits(cad, c.get("caller")));
    const found = await each(mine, ({ id, backend }) => lookAtStatus(backend, now, follow(id), redisProblems.follow));
    const status = statusOfSeveral(found.map(([, { status: one }]) => one));
    return c.json({ status, cads: Object.fromEntries(found), timestamp: now().toISOString() });
  });
  app.get("/metrics", async (c, next) => {
    const caller = await authenticate(c.req.header("Authorization")).catch(() => undefined);
    if (caller && !cads.every((cad) => admits(cad, caller)))
      throw forbidden("wrong-org", "These are the metrics of all CADs; the token is good for some: ask those.");
    await next();
  });
  for (const [endpoint, role] of Object.entries(ENDPOINTS)) {
    if (role === "public" || OWN_ENDPOINTS.has(endpoint)) continue;
    const [method = "", path = ""] = endpoint.split(" ");
    const access = requireAccess(authenticate, endpoint as GatedEndpoint);
    app.on(method, path.replaceAll(/\{(\w+)\}/g, ":$1"), access, (c) => {
      throw whyHere(c.req.raw) ?? new Problem("internal", "No CAD was chosen for the request.");
    });
  }
}
