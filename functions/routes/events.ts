import type { Hono, MiddlewareHandler } from "hono";
import { z } from "zod";
import { microsOf } from "../../shared/util/time.ts";
import { instant } from "../../shared/vocabulary/fields.ts";
import { ENTRY_KINDS, type JournalEntry } from "../../shared/journal/entry.ts";
import { type EntryFilter, entryMatches } from "../../shared/journal/filter.ts";
import { isEntryId } from "../../shared/redis/stream-id.ts";
import { deliveryOutcome } from "../../shared/destinations/outcome.ts";
import { toEntryResponse, entryResponse } from "../../shared/journal/to-response.ts";
import type { Handled } from "../../shared/journal/checkpoints.ts";
import { noSuch, Problem } from "../http/problem.ts";
import { requireAccess } from "../middleware/auth.ts";
import type { Caller, CallerEnv } from "../http/caller.ts";
import type { Backend } from "../backend/backend.ts";
import { createEventStreams, gone, type StreamDeps } from "./event-stream.ts";
import { pageOf } from "../http/page.ts";
import { parseQuery, several } from "../http/query.ts";
import { mayTouch } from "../middleware/scope.ts";

const entryId = z.string().refine(isEntryId, "is not the id of an entry, such as 1767225600000-0");
const about = z.string().min(1).max(200);

const filterFields = {
  event: several(z.string().min(1).max(200))
    .optional()
    .meta({ description: "Names of events; `*` matches any characters. May be repeated." }),
  unit: several(about).optional().meta({ description: "May be repeated." }),
  incident: several(about).optional().meta({ description: "May be repeated." }),
};

export const streamQuery = z.strictObject({
  ...filterFields,
  last_event_id: entryId.optional().meta({ description: "For clients that cannot set the header Last-Event-ID." }),
});

const inOneOf = <const Values extends readonly string[]>(values: Values) => several(z.enum(values));

export const historyQuery = z.strictObject({
  ...filterFields,
  kind: inOneOf(ENTRY_KINDS).optional().meta({ description: "May be repeated." }),
  own: z
    .enum(["true", "false"])
    .transform((text) => text === "true")
    .optional()
    .meta({ description: "`true`: only echoes of the bridge's own commands. `false`: only other entries." }),
  since: instant.optional().meta({ description: "Written to the journal at this time or later." }),
  until: instant.optional().meta({ description: "Written to the journal at this time or earlier." }),
  order: z.enum(["newest", "oldest"]).default("newest").meta({ description: "Sort order." }),
  limit: z.coerce.number().int().min(1).max(500).default(50),
  cursor: entryId.optional().meta({ description: "`next` of the previous page." }),
});

export const eventPage = pageOf("events", entryResponse);

const handledAnswer = z.object({
  handler: z.string(),
  outcome: z.enum(["done", "failed"]),
  duration_ms: z.number().meta({ description: "Duration of the last attempt, ms." }),
  tries: z.int(),
  error: z.string().nullable(),
});
/** What GET /events/{id} adds to the entry. */
export const eventDetails = z.object({
  handled: z.array(handledAnswer).meta({
    description:
      "The result of each handler. Handlers that do not handle it, or have not reached it yet, are not listed.",
  }),
  destinations: z.array(deliveryOutcome).meta({
    description:
      "The delivery to each destination. Details of a delivery are kept for 25 h, of a dead letter as long as the dead letter.",
  }),
});

interface Given {
  event?: string[] | undefined;
  unit?: string[] | undefined;
  incident?: string[] | undefined;
}
const toFilter = ({ event, unit, incident }: Given): EntryFilter => ({
  events: event,
  units: unit,
  incidents: incident,
});
export interface EventDeps extends StreamDeps {
  backend: Pick<Backend, "readEvents" | "listEvents" | "readEvent">;
  /** Middleware that records the read. */
  noted: MiddlewareHandler<CallerEnv>;
  /** Limits how many lists a subject reads concurrently. */
  limitReads: MiddlewareHandler<CallerEnv>;
}

/** Malformed and unknown events may concern any unit: not visible to a caller with a scope. */
const maySee = (caller: Caller, { kind, keys }: JournalEntry): boolean =>
  mayTouch(caller, keys) && (caller.units === undefined || (kind !== "malformed" && kind !== "unknown"));

/** The CAD's events, live and past. Requires the role dispatcher. */
export function serveEvents(app: Hono<CallerEnv>, deps: EventDeps): void {
  const { backend, authenticate, noted } = deps;
  const stream = createEventStreams(deps);

  app.get("/events", requireAccess(authenticate, "GET /events"), parseQuery(streamQuery), noted, async (c) => {
    const { last_event_id: fromQuery, ...given } = c.req.valid("query");
    const after = lastEventId(c.req.header("Last-Event-ID")) ?? fromQuery;
    if (c.req.method === "HEAD") return c.body(null, 200, { "Content-Type": "text/event-stream" });
    const caller = c.get("caller");
    const filter = toFilter(given);
    return await stream(c, after, (entry) => entryMatches(entry, filter) && maySee(caller, entry));
  });

  app.get(
    "/events/history",
    requireAccess(authenticate, "GET /events/history"),
    deps.limitReads,
    parseQuery(historyQuery),
    noted,
    async (c) => {
      const { kind, own, since, until, order, limit, cursor, ...given } = c.req.valid("query");
      const filter = { ...toFilter(given), kinds: kind, own };
      const times = { since: microsOf(since), until: microsOf(until) };
      const page = await backend.listEvents({ filter, limit, first: order, after: cursor, ...times });
      if (page.outcome === "gone") throw gone(page.oldest);
      const caller = c.get("caller");
      const events = page.entries.filter((entry) => maySee(caller, entry)).map(toEntryResponse);
      return c.json({ events, next: page.next ?? null });
    },
  );

  app.get("/events/:id", requireAccess(authenticate, "GET /events/{id}"), noted, async (c) => {
    const id = c.req.param("id");
    const found = isEntryId(id) ? await backend.readEvent(id) : undefined;
    if (!found || !maySee(c.get("caller"), found.entry)) throw noSuch("journal entry", id, ", or it was deleted");
    const handled = found.handled.filter(isTask).map((h) => ({
      handler: h.handler,
      outcome: h.outcome,
      duration_ms: h.durationMs,
      tries: h.tries,
      error: h.error ?? null,
    }));
    return c.json({ ...toEntryResponse(found.entry), handled, destinations: found.destinations });
  });
}

/** A declined entry is not listed as a task: `destinations` has the reason. */
const isTask = ({ outcome }: Handled): boolean => outcome !== "declined";

/** For a reconnecting client: the id of the last entry it received. */
function lastEventId(header: string | undefined): string | undefined {
  if (header === undefined || header === "") return undefined;
  if (isEntryId(header)) return header;
  throw new Problem("invalid-header", "Last-Event-ID is not the id of an entry, such as 1767225600000-0.");
}
