import { timeOfId } from "../../shared/redis/stream-id.ts";
import type { Hono, MiddlewareHandler } from "hono";
import { z } from "zod";
import { toReceipt } from "../../shared/commands/receipt.ts";
import { isOf } from "../../shared/state/read.ts";
import { toIncidentResponse } from "../../shared/state/to-response.ts";
import { isFinal } from "../../shared/outbox/states.ts";
import { microsOf, type Micros, toIso } from "../../shared/util/time.ts";
import { instant } from "../../shared/vocabulary/fields.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import type { Backend } from "../backend/backend.ts";
import type { TimelineParts } from "../backend/timeline-calls.ts";
import type { Caller, CallerEnv } from "../http/caller.ts";
import { toCsv } from "../http/csv.ts";
import { noSuch } from "../http/problem.ts";
import { parseQuery } from "../http/query.ts";
import { type Authenticate, requireAccess } from "../middleware/auth.ts";
import { mayTouch } from "../middleware/scope.ts";

export const timelineQuery = z.strictObject({
  since: instant.optional().meta({
    description: "Start time. By default one hour before the oldest known state of the incident.",
  }),
  until: instant.optional(),
  format: z.enum(["json", "csv"]).default("json"),
});

const orNull = (description: string) => z.string().nullable().meta({ description });
export const timelineItem = z.object({
  at: z.string(),
  kind: z.enum(["command", "event", "webhook", "time"]).meta({
    description:
      "`command`: a command was accepted, sent or settled. `event`: an event of the CAD. `webhook`: the delivery of an event to a destination. `time`: a time of the call, as stored in the CAD.",
  }),
  what: z.string().meta({ description: "The command's path, the event, or the column of the CAD." }),
  status: orNull("Command: `accepted`, `sent` or its final state. Webhook: its outcome. Time: its NEMSIS element."),
  about: z.string().meta({ description: "The units and incidents concerned." }),
  who: orNull("The subject of the token."),
  role: orNull("The highest of its roles."),
  detail: orNull("A reason, a proof, or a warning about a time."),
  command_id: orNull("The command concerned; for an echo, the command that caused it."),
  event_id: orNull("The journal entry."),
  destination: orNull("The webhook's destination."),
  audit_id: orNull("The audit entry."),
  audit_number: z.int().nullable().meta({ description: "Its number in the hash chain; null until it is chained." }),
  audit_hash: orNull("Its hash in the chain, which `npm run audit` verifies."),
});
export const timelineAnswer = z.object({
  timestamp: z.string(),
  incident_id: z.string(),
  items: z.array(timelineItem),
  next_since: orNull("`since` of the next part; null if there is none."),
});
type TimelineItem = z.infer<typeof timelineItem>;
const COLUMNS = Object.keys(timelineItem.shape) as (keyof TimelineItem)[];

const NOTHING = {
  ...{ status: null, who: null, role: null, detail: null, command_id: null, event_id: null, destination: null },
  ...{ audit_id: null, audit_number: null, audit_hash: null },
};
const words = (keys: readonly string[]): string => keys.join(" ");

function ofAsked({ entry, link, record }: TimelineParts["asked"][number]): TimelineItem[] {
  const by = { who: entry.user || null, role: entry.role || null, about: words(entry.about) };
  const what = record?.kind ?? entry.action.slice("POST /".length);
  const common = { ...NOTHING, ...by, kind: "command" as const, what, command_id: entry.command || null };
  const proof = { audit_id: entry.id, audit_number: link?.count ?? null, audit_hash: link?.hash ?? null };
  const items: TimelineItem[] = [{ ...common, ...proof, at: toIso(timeOfId(entry.id)), status: entry.outcome }];
  if (!record || entry.outcome !== "accepted") return items;
  const receipt = toReceipt(record);
  const times = receipt.sends > 1 ? `sent ${receipt.sends} times, last then` : null;
  if (receipt.sent_at) items.push({ ...common, at: receipt.sent_at, status: "sent", detail: times });
  if (receipt.settled_at && isFinal(record.state)) {
    const detail = receipt.reason ?? (receipt.proof ? `${receipt.proof} (${receipt.confirmed_by})` : null);
    items.push({ ...common, at: receipt.settled_at, status: record.state, detail });
  }
  return items;
}

function ofEvent({ entry, destinations }: TimelineParts["events"][number]): TimelineItem[] {
  const common = { ...NOTHING, what: entry.event, about: words(entry.keys), event_id: entry.id };
  const at = toIso(entry.receivedAt);
  const recovered = { true: "recovered after it was missed", false: "events are missing here", undefined: null };
  const detail = recovered[String(entry.recovered) as keyof typeof recovered];
  const event = { ...common, at, kind: "event" as const, detail, command_id: entry.own ?? null };
  return [
    event,
    ...destinations
      .filter(({ outcome }) => outcome !== "not_wanted")
      .map((one) => ({
        ...{ ...common, kind: "webhook" as const, at: one.at ?? at, destination: one.id, status: one.outcome },
        detail: one.reason ?? (one.response ? `answered ${one.response}, attempt ${one.attempts}` : null),
      })),
  ];
}

/** The times of the call by NEMSIS, each with what is implausible about it. */
function ofState(state: TimelineParts["state"], now: Micros): TimelineItem[] {
  if (!state) return [];
  const { timestamps, warnings } = toIncidentResponse(state, now);
  return timestamps.flatMap(({ column, etimes, etimes_name: name, timestamp }): TimelineItem[] => {
    const at = new Date(String(timestamp));
    if (Number.isNaN(at.getTime())) return [];
    const wrong = warnings.filter(({ columns }) => columns.includes(column)).map(({ message }) => message);
    return [
      {
        ...{ ...NOTHING, at: toIso(at.getTime() * 1000), kind: "time", what: name ? `${column} (${name})` : column },
        ...{ status: etimes, about: `incident:${state.id}`, detail: wrong.length > 0 ? wrong.join("; ") : null },
      },
    ];
  });
}

/** Everything known, in order. Items about units outside the caller's scope are left out. */
export function toTimeline(parts: TimelineParts, caller: Caller, now: Micros): TimelineItem[] {
  const items = [
    ...parts.asked.filter(({ entry }) => mayTouch(caller, entry.about as OrderingKey[])).flatMap(ofAsked),
    ...parts.events.filter(({ entry }) => mayTouch(caller, entry.keys)).flatMap(ofEvent),
    ...ofState(parts.state, now),
  ];
  // Stable sort: items with the same time keep the order in which they were created above.
  return items.toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

export interface TimelineDeps {
  backend: Pick<Backend, "readTimeline">;
  authenticate: Authenticate;
  limitReads: MiddlewareHandler<CallerEnv>;
  /** Middleware that records the read. */
  noted: MiddlewareHandler<CallerEnv>;
  now: () => Date;
}

/** GET /incidents/{id}/timeline: everything that happened around an incident, as JSON or CSV. */
export function serveTimeline(app: Hono<CallerEnv>, deps: TimelineDeps): void {
  const { backend, authenticate, limitReads, noted, now } = deps;
  const access = requireAccess(authenticate, "GET /incidents/{id}/timeline");
  app.get("/incidents/:id/timeline", access, limitReads, parseQuery(timelineQuery), noted, async (c) => {
    const id = c.req.param("id");
    const { since, until, format } = c.req.valid("query");
    const parts = await backend.readTimeline(id, microsOf(since), microsOf(until));
    const caller = c.get("caller");
    const { units } = caller;
    const hidden = units !== undefined && !(parts.state && isOf(units, "incident", parts.state));
    const at = now().getTime() * 1000;
    const items = hidden ? [] : toTimeline(parts, caller, at);
    if (items.length === 0) throw noSuch("known incident", id, " in this time");
    if (format === "json") {
      const next = parts.until === undefined ? null : toIso(parts.until);
      return c.json({ timestamp: toIso(at), incident_id: id, items, next_since: next });
    }
    // An incomplete file ends with a line that shows where to continue.
    const more = parts.until === undefined ? "" : `# continued: since=${toIso(parts.until)}\r\n`;
    return c.body(toCsv(COLUMNS, items) + more, 200, { "Content-Type": "text/csv; charset=utf-8" });
  });
}
