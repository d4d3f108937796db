import type { Hono } from "hono";
import { z } from "zod";
import { WORKER_SILENT_S } from "../../shared/health/history.ts";
import { toIso } from "../../shared/util/time.ts";
import type { Backend } from "../backend/backend.ts";
import { trustedHeartbeat } from "../backend/health-calls.ts";
import type { CallerEnv } from "../http/caller.ts";
import { noQuery } from "../http/query.ts";
import { type Authenticate, requireAccess } from "../middleware/auth.ts";

export const historyAnswer = z.object({
  minutes: z
    .array(
      z.object({
        at: z.string(),
        accepted: z.int().meta({ description: "Commands accepted in this minute." }),
        settled: z.int(),
        undelivered: z.int().meta({ description: "Of the settled: rejected, failed, expired or unconfirmed." }),
        waiting: z.int().meta({ description: "Unsettled commands at its end." }),
        p50_ms: z.number().nullable().meta({ description: "From acceptance to the final state, the median." }),
        p95_ms: z.number().nullable(),
        ready: z.boolean().meta({ description: "Whether the CAD was ready at its end." }),
      }),
    )
    .meta({ description: "The last hour, as far as a worker recorded it." }),
  hours: z
    .array(z.object({ at: z.string(), ready_percent: z.number().nullable() }))
    .meta({ description: "Share of each of the last 24 hours in which the CAD was ready; null: not measured." }),
  workers: z
    .array(
      z.object({
        instance: z.string(),
        role: z.enum(["leader", "standby", "silent"]).meta({
          description: "`silent`: it crashed or cannot reach Redis.",
        }),
        age_seconds: z.number().meta({ description: "Seconds since its last report." }),
      }),
    )
    .meta({ description: "Every worker that reported in the last 10 minutes." }),
});

const iso = (ms: number) => toIso(ms * 1000);

/** GET /history: the data of the admin page's plots. Contains no names or ids. */
export function serveHistory(
  app: Hono<CallerEnv>,
  { backend, authenticate }: { backend: Pick<Backend, "history" | "lastHeartbeat">; authenticate: Authenticate },
): void {
  app.get("/history", requireAccess(authenticate, "GET /history"), noQuery, async (c) => {
    const [{ minutes, hours, workers }, heard] = await Promise.all([backend.history(), backend.lastHeartbeat()]);
    const heartbeat = trustedHeartbeat(heard);
    const leader = heartbeat && heartbeat.owned && !heartbeat.health.stopped ? heartbeat.health.instance : undefined;
    return c.json({
      minutes: minutes.map(({ at, unsettled, p50, p95, ...rest }) => ({
        ...{ at: iso(at), ...rest, waiting: unsettled, p50_ms: p50, p95_ms: p95 },
      })),
      hours: hours.map(({ at, readyPercent }) => ({ at: iso(at), ready_percent: readyPercent })),
      workers: workers.map(({ instance, ageSeconds }) => ({
        instance,
        role: ageSeconds > WORKER_SILENT_S ? "silent" : instance === leader ? "leader" : "standby",
        age_seconds: ageSeconds,
      })),
    });
  });
}
