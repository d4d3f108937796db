import type { Hono, MiddlewareHandler } from "hono";
import { z } from "zod";
import { destinationReport, NOTHING_SENT } from "../../shared/destinations/store.ts";
import { isFinal } from "../../shared/outbox/states.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { noSuch } from "../http/problem.ts";
import { secondsBetween } from "../../shared/util/time.ts";
import { type Authenticate, requireAccess } from "../middleware/auth.ts";
import type { CallerEnv } from "../http/caller.ts";
import type { Backend } from "../backend/backend.ts";
import { trustedHeartbeat, type LastHeartbeat } from "../backend/health-calls.ts";
import type { DestinationBacklog } from "../backend/destination-calls.ts";
import { destinationAttempt } from "../../shared/destinations/attempts.ts";
import { replayAnswer, requireKnown, serveReplay, toReplay } from "./destination-replay.ts";
import { noBody } from "../http/json-body.ts";

/** A destination as returned by GET /destinations: the worker's report and its outbox. */
export const destinationAnswer = destinationReport.extend({
  waiting: z.int().meta({ description: "Number of undelivered events." }),
  oldest_age_seconds: z.number().nullable().meta({ description: "Age of the oldest of them, s." }),
  dead_letters: z.int(),
  settled: z.record(z.string(), z.int()).meta({ description: "Total number in each final state." }),
});

export const destinationsAnswer = z.object({ destinations: z.array(destinationAnswer) });
export const destinationDetails = destinationAnswer.extend({
  recent_attempts: z.array(destinationAttempt).meta({
    description:
      "The last 20 attempts and the last 30 failed ones, oldest first; those of the last 2 s may be missing.",
  }),
  replay: replayAnswer.nullable().meta({ description: "The last replay; null if there was none." }),
});
export const enableAnswer = z.object({ success: z.literal(true), message: z.string(), id: z.string() });

/** Older reports of the worker are ignored, s. */
const REPORT_KEPT_S = 60;

/** The report of a destination before any worker reported it. */
const UNTOLD = { url: "", in_flight: 0, ...NOTHING_SENT };

const iso = (ms: number | undefined) => (ms ? new Date(ms).toISOString() : null);

function toResponse({ id, backlog, state }: DestinationBacklog, heartbeat: LastHeartbeat | undefined) {
  const reported = heartbeat?.health.destinations.find((report) => report.id === id) ?? {
    ...UNTOLD,
    id,
    state: state?.state ?? "ok",
    reason: state?.reason || null,
    since: iso(state?.since),
    until: iso(state?.until),
  };
  return {
    ...reported,
    waiting: backlog.unsettled,
    oldest_age_seconds:
      backlog.oldestUnsettled === undefined ? null : secondsBetween(backlog.oldestUnsettled, backlog.now),
    dead_letters: backlog.dead,
    settled: backlog.counts,
  };
}

/** The result of a test event. */
export const testAnswer = z.object({
  ...{ id: z.string(), message_id: z.string() },
  outcome: z.enum(["delivered", "failed", "waiting"]).meta({
    description: "`waiting`: not delivered within 5 s: the destination is paused or will be retried.",
  }),
  attempts: z.int(),
  response: z.int().nullable().meta({ description: "The HTTP status of the response." }),
  reason: z.string().nullable(),
  duration_ms: z.number().nullable().meta({ description: "From the request to the delivery." }),
});

/** How long to wait for a test event, and how often to poll for it, ms. */
const TEST_WAIT_MS = 5000;
const TEST_LOOK_MS = 250;

export interface DestinationsDeps {
  backend: Backend;
  authenticate: Authenticate;
  /** Middleware that records an action in the audit trail. */
  noteAction: MiddlewareHandler<CallerEnv>;
  newId: () => string;
  now: () => Date;
}

/** Sends a test event and waits a few seconds for the result. */
async function tryOut(
  id: string,
  { backend, newId, now }: Pick<DestinationsDeps, "backend" | "newId" | "now">,
): Promise<z.output<typeof testAnswer>> {
  const message = `test-${newId()}`;
  await backend.sendTest(id, message, now());
  const begun = performance.now();
  for (;;) {
    const record = await backend.read(message, id);
    const { settledAt, acceptedAt = 0, by = "", reason = "" } = record ?? {};
    const delivered = record?.state === "confirmed";
    const over = performance.now() - begun > TEST_WAIT_MS;
    if (!over && (!record || !isFinal(record.state))) {
      await sleep(TEST_LOOK_MS);
      continue;
    }
    return {
      ...{ id, message_id: message, attempts: record?.sends ?? 0, reason: reason || null },
      outcome: delivered ? "delivered" : record && isFinal(record.state) ? "failed" : "waiting",
      response: Number(/^response:(\d{3})$/.exec(by)?.[1]) || null,
      duration_ms: delivered && settledAt !== undefined ? Math.round((settledAt - acceptedAt) / 1000) : null,
    };
  }
}

/** The state of the services that receive the CAD's events. Requires the role admin. */
export function serveDestinations(app: Hono<CallerEnv>, deps: DestinationsDeps): void {
  const { backend, authenticate, noteAction } = deps;
  app.get("/destinations", requireAccess(authenticate, "GET /destinations"), async (c) => {
    const [all, read] = await Promise.all([backend.destinations(), backend.lastHeartbeat()]);
    const heartbeat = trustedHeartbeat(read);
    const recent = heartbeat && heartbeat.ageSeconds < REPORT_KEPT_S ? heartbeat : undefined;
    return c.json({ destinations: all.map((one) => toResponse(one, recent)) });
  });

  const enable = requireAccess(authenticate, "POST /destinations/{id}/enable");
  app.post("/destinations/:id/enable", enable, noBody, noteAction, async (c) => {
    const id = c.req.param("id");
    await requireKnown(backend, id);
    await backend.enableDestination(id);
    return c.json({ success: true, message: "The worker resumes sending within seconds.", id }, 202);
  });

  const pause = requireAccess(authenticate, "POST /destinations/{id}/pause");
  app.post("/destinations/:id/pause", pause, noBody, noteAction, async (c) => {
    const id = c.req.param("id");
    await requireKnown(backend, id);
    await backend.pauseDestination(id, `somebody paused it (${c.get("caller").role})`);
    return c.json({ success: true, message: "The worker sends nothing to it until it is enabled.", id }, 202);
  });

  app.get("/destinations/:id", requireAccess(authenticate, "GET /destinations/{id}"), async (c) => {
    const id = c.req.param("id");
    await requireKnown(backend, id);
    const [all, read, details] = await Promise.all([
      backend.destinations(),
      backend.lastHeartbeat(),
      backend.destination(id),
    ]);
    const found = all.find((one) => one.id === id);
    if (!found) throw noSuch("destination", id);
    const heartbeat = trustedHeartbeat(read);
    const recent = heartbeat && heartbeat.ageSeconds < REPORT_KEPT_S ? heartbeat : undefined;
    return c.json({
      ...toResponse(found, recent),
      recent_attempts: details.attempts,
      replay: toReplay(details.replay),
    });
  });

  serveReplay(app, deps);

  const test = requireAccess(authenticate, "POST /destinations/{id}/test");
  app.post("/destinations/:id/test", test, noBody, noteAction, async (c) => {
    const id = c.req.param("id");
    await requireKnown(backend, id);
    return c.json(await tryOut(id, deps));
  });
}
