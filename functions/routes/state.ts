import type { Context, Hono, MiddlewareHandler } from "hono";
import { z } from "zod";
import { noSuch } from "../http/problem.ts";
import type { GatedEndpoint } from "../../shared/vocabulary/roles.ts";
import { isOf, type StateKind, type StateRecord } from "../../shared/state/read.ts";
import { incidentState, toIncidentResponse, toUnitResponse, unitState } from "../../shared/state/to-response.ts";
import { type Micros, toIso } from "../../shared/util/time.ts";
import { type Authenticate, requireAccess } from "../middleware/auth.ts";
import type { Caller, CallerEnv } from "../http/caller.ts";
import type { Backend } from "../backend/backend.ts";
import { pageOf } from "../http/page.ts";
import { parseQuery } from "../http/query.ts";

const toCursor = (id: string): string => Buffer.from(id).toString("base64url");

export const stateQuery = z.strictObject({
  status: z.string().min(1).max(200).optional().meta({ description: "Only those with this status, case-insensitive." }),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z
    .string()
    .regex(/^[\w-]{1,1200}$/, "is not a cursor of this list")
    .transform((text) => Buffer.from(text, "base64url").toString())
    .optional()
    .meta({ description: "`next` of the previous page." }),
});

/** Added to every answer about state. */
export const stateAnswer = z.object({ timestamp: z.string().meta({ description: "When the answer was made." }) });
export const unitPage = pageOf("units", unitState).extend(stateAnswer.shape);
export const incidentPage = pageOf("incidents", incidentState).extend(stateAnswer.shape);

export interface StateDeps {
  backend: Pick<Backend, "readState" | "listState">;
  authenticate: Authenticate;
  now: () => Date;
  /** Middleware that records the read. */
  noted: MiddlewareHandler<CallerEnv>;
}

/** How units and incidents are returned. */
const KINDS = {
  unit: { list: "units", toResponse: toUnitResponse },
  incident: { list: "incidents", toResponse: toIncidentResponse },
} as const satisfies Record<StateKind, unknown>;

/** Other units, and incidents without one of its units, do not exist for a caller with a scope. */
const maySee = ({ units }: Caller, kind: StateKind, record: StateRecord): boolean =>
  units === undefined || isOf(units, kind, record);

/** The current state of units and incidents. */
export function serveState(app: Hono<CallerEnv>, { backend, authenticate, now, noted }: StateDeps) {
  const access = (endpoint: Extract<GatedEndpoint, `GET /${"units" | "incidents"}${string}`>) =>
    requireAccess(authenticate, endpoint);
  const micros = (): Micros => now().getTime() * 1000;

  async function one(c: Context<CallerEnv>, kind: StateKind, id: string): Promise<Response> {
    const record = await backend.readState(kind, id);
    if (!record || !maySee(c.get("caller"), kind, record))
      throw noSuch(`known ${kind}`, id, "; state is deleted 30 days after its last event");
    const at = micros();
    return c.json({ timestamp: toIso(at), ...KINDS[kind].toResponse(record, at) });
  }

  async function many(c: Context<CallerEnv>, kind: StateKind, query: z.output<typeof stateQuery>): Promise<Response> {
    const { status, limit, cursor } = query;
    const { units } = c.get("caller");
    const { records, next } = await backend.listState(kind, { units, status, limit, after: cursor });
    const at = micros();
    const items = records.map((record) => KINDS[kind].toResponse(record, at));
    return c.json({
      timestamp: toIso(at),
      [KINDS[kind].list]: items,
      next: next === undefined ? null : toCursor(next),
    });
  }

  return {
    lists(): void {
      app.get("/units", access("GET /units"), parseQuery(stateQuery), noted, (c) =>
        many(c, "unit", c.req.valid("query")),
      );
      app.get("/incidents", access("GET /incidents"), parseQuery(stateQuery), noted, (c) =>
        many(c, "incident", c.req.valid("query")),
      );
    },
    /** Their paths also match those of commands, such as /units/location, so they are registered after them. */
    single(): void {
      app.get("/units/:id", access("GET /units/{id}"), noted, (c) => one(c, "unit", c.req.param("id")));
      app.get("/incidents/:id", access("GET /incidents/{id}"), noted, (c) => one(c, "incident", c.req.param("id")));
    },
  };
}
