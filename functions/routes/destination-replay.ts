import type { Hono, MiddlewareHandler } from "hono";
import { z } from "zod";
import { beginReplay, isOver, REPLAY_STATES, type ReplayStatus } from "../../shared/destinations/replay.ts";
import { HEARTBEAT_LIMIT_S } from "../../shared/health/worker-health.ts";
import { isEntryId, timeOfId } from "../../shared/redis/stream-id.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { instant } from "../../shared/vocabulary/fields.ts";
import { requestObject } from "../../shared/vocabulary/request-object.ts";
import type { Backend } from "../backend/backend.ts";
import { trustedHeartbeat } from "../backend/health-calls.ts";
import type { CallerEnv } from "../http/caller.ts";
import { jsonBody } from "../http/json-body.ts";
import { noSuch, Problem, type WrongField } from "../http/problem.ts";
import { type Authenticate, requireAccess } from "../middleware/auth.ts";

export const replayBody = requestObject({
  from: z
    .union([z.string().refine(isEntryId), instant], { error: "must be a time with an offset, or the id of an event" })
    .meta({ description: "A time, or the id of an event, which is included.", example: "2026-01-31T22:05:00Z" }),
  events: z
    .array(z.string().regex(/^[\w:.*-]{1,100}$/, "must be the name of an event, with * for any part of it"))
    .min(1)
    .max(20)
    .optional()
    .meta({ description: "Only these events, with `*` for any part of a name." }),
  filter: z
    .string()
    .min(1)
    .max(2000)
    .optional()
    .meta({ description: "Only events that match this filter, in CEL as in a rule." }),
  dry_run: z.boolean().default(false).meta({ description: "Only count what would be sent." }),
});

const atOf = z.object({ event_id: z.string(), at: z.string() });
/** The state of a replay. */
export const replayAnswer = z.object({
  replay_id: z.string(),
  dry_run: z.boolean(),
  state: z.enum(["asked", ...REPLAY_STATES]).meta({
    description:
      "`asked`: the worker has not started it. `counting`: the journal is read. `starting`: the destination's handler goes back. `running`: events are put into the outbox. `done`: all are, and the live flow follows. `counted`: the end of a dry run. `refused`: nothing was sent, see `reason`.",
  }),
  reason: z.string().nullable(),
  from: z.string(),
  events: z.array(z.string()).nullable(),
  filter: z.string().nullable(),
  count: z.int().meta({ description: "How many events match, as of the count." }),
  by_event: z.record(z.string(), z.int()),
  first: atOf.nullable(),
  last: atOf.nullable(),
  queued: z.int().meta({ description: "How many of them are in the outbox, including later events." }),
  position: atOf.nullable().meta({ description: "Id or time of the last event processed." }),
  until: atOf.nullable().meta({ description: "The last event of the replay; later ones are sent normally." }),
  asked_at: z.string(),
  started_at: z.string().nullable(),
  ended_at: z.string().nullable(),
});
export type ReplayAnswer = z.output<typeof replayAnswer>;

/** How long to wait for the worker's first answer, and how often to poll for it, ms. */
const WAIT_MS = 6000;
const LOOK_MS = 200;

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
const placeOf = (id: string | null) =>
  id === null ? null : { event_id: id, at: new Date(timeOfId(id) / 1000).toISOString() };

export function toReplay(status: ReplayStatus | undefined): ReplayAnswer | null {
  if (!status) return null;
  const { request, state, refusal, found } = status;
  return {
    ...{ replay_id: request.id, dry_run: request.dryRun, state, reason: refusal?.reason ?? null, from: request.from },
    ...{ events: request.events ?? null, filter: request.filter ?? null, count: found.count, by_event: found.events },
    ...{ first: placeOf(found.first), last: placeOf(found.last), queued: status.queued },
    ...{ position: placeOf(status.position), until: placeOf(status.until), asked_at: iso(request.askedAt) ?? "" },
    ...{ started_at: iso(status.startedAt), ended_at: iso(status.endedAt) },
  };
}

/** Throws a Problem for a destination that does not exist and never did. */
export async function requireKnown(backend: Backend, destination: string | undefined): Promise<void> {
  if (destination === undefined || (await backend.isDestination(destination))) return;
  throw noSuch("destination", destination);
}

/** Throws a Problem if no worker is running that sends to it. */
async function requireSent(backend: Backend, id: string): Promise<void> {
  const heartbeat = trustedHeartbeat(await backend.lastHeartbeat());
  if (!heartbeat || heartbeat.health.stopped || heartbeat.ageSeconds > HEARTBEAT_LIMIT_S)
    throw new Problem("no-worker", "No worker is running that could replay events.");
  const report = heartbeat.health.destinations.find((one) => one.id === id);
  if (!report || report.state === "removed")
    throw new Problem("replay-refused", `${id} is in none of the worker's routes, so nothing is sent to it.`);
}

const running = ({ request }: ReplayStatus): Problem =>
  new Problem("replay-running", `The replay ${request.id} is running.`, { replay_id: request.id });

function refusedBecause({ code, reason, oldest }: NonNullable<ReplayStatus["refusal"]>): Problem {
  const detail = `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`;
  if (code === "gone") return new Problem("replay-gone", detail, { oldest: oldest === null ? null : placeOf(oldest) });
  if (code === "unreadable") return new Problem("unreadable-payload", detail);
  return new Problem("replay-refused", detail);
}

/** Waits for the worker's first status of it; undefined if there is none in time. */
async function heardOf(backend: Backend, destination: string, id: string): Promise<ReplayStatus | undefined> {
  const until = performance.now() + WAIT_MS;
  for (;;) {
    const { replay, dryRun } = await backend.destination(destination);
    const status = [replay, dryRun].find((one) => one?.request.id === id);
    const waits = !status || status.state === "counting" || status.state === "starting";
    if (!waits || performance.now() > until) return status;
    // A concurrent request won.
    if (!status && replay && !isOver(replay.state)) throw running(replay);
    await sleep(LOOK_MS);
  }
}

const badBody = (errors: WrongField[]): Problem =>
  new Problem("invalid-body", "The body does not specify what to replay.", { errors });

export interface ReplayDeps {
  backend: Backend;
  authenticate: Authenticate;
  noteAction: MiddlewareHandler<CallerEnv>;
  newId: () => string;
  now: () => Date;
}

/** POST /destinations/{id}/replay: forwards the request to the worker, which knows the rules, and returns its status. */
export function serveReplay(app: Hono<CallerEnv>, { backend, authenticate, noteAction, newId, now }: ReplayDeps): void {
  const access = requireAccess(authenticate, "POST /destinations/{id}/replay");
  app.post("/destinations/:id/replay", access, jsonBody(replayBody, badBody), noteAction, async (c) => {
    const destination = c.req.param("id");
    await requireKnown(backend, destination);
    await requireSent(backend, destination);
    const { from, events, filter, dry_run: dryRun } = c.req.valid("json");
    const { replay } = await backend.destination(destination);
    if (!dryRun && replay && !isOver(replay.state)) throw running(replay);
    const request = {
      ...{ id: newId(), from, dryRun, askedAt: now().getTime() },
      ...(events && { events }),
      ...(filter !== undefined && { filter }),
    };
    await backend.askReplay(destination, request);
    const status = await heardOf(backend, destination, request.id);
    if (status?.refusal) throw refusedBecause(status.refusal);
    const answer = toReplay(status ?? beginReplay(request));
    return c.json(status ? answer : { ...answer, state: "asked" }, dryRun && status?.state === "counted" ? 200 : 202);
  });
}
