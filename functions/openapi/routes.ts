import { z } from "zod";
import { CADS_ENDPOINTS, ENDPOINTS, ROLES } from "../../shared/vocabulary/roles.ts";
import { auditPage, auditQuery } from "../routes/audit.ts";
import { deadLetterPage, listQuery, outboxQuery, redriveAnswer, redriveBody } from "../routes/dead-letters.ts";
import { replayAnswer, replayBody } from "../routes/destination-replay.ts";
import { destinationDetails, destinationsAnswer, enableAnswer } from "../routes/destinations.ts";
import { EVENT_ROUTES } from "./event-routes.ts";
import { SEARCH_ROUTES } from "./search-routes.ts";
import { answer, GATED, json, type Json, problems, REDIS, ref, type Route, schemaOf } from "./parts.ts";

const eventSchema = z.looseObject({ $id: z.string(), title: z.string().meta({ description: "The event." }) });
const html = { description: "A page.", content: { "text/html": { schema: { type: "string" } } } };
const ROUTES: readonly Route[] = [
  ...EVENT_ROUTES,
  ...SEARCH_ROUTES,
  {
    endpoint: "GET /commands/{id}",
    id: "getCommand",
    tag: "receipts",
    summary: "Get the receipt of a command",
    description:
      "A receipt is kept for one day after the command was settled, a dead letter for DEAD_LETTER_DAYS (30 by default).",
    answers: { "200": answer("The receipt.", ref("CommandReceipt")) },
    problems: ["not-found", ...REDIS],
  },
  {
    endpoint: "GET /dead-letters",
    id: "listDeadLetters",
    tag: "dead letters",
    summary: "List dead letters",
    description:
      "Rejected, failed and expired commands that were not redriven or discarded, newest first; with `destination`, the events that it did not accept.",
    query: schemaOf(listQuery, "input"),
    answers: { "200": answer("A page.", schemaOf(deadLetterPage)) },
    problems: ["invalid-query", "not-found", "too-many-reads", ...REDIS],
  },
  {
    endpoint: "GET /dead-letters/{id}",
    query: schemaOf(outboxQuery, "input"),
    id: "getDeadLetter",
    tag: "dead letters",
    summary: "Get a dead letter",
    answers: { "200": answer("The receipt, including the reason.", ref("Receipt")) },
    problems: ["not-found", "invalid-query", ...REDIS],
  },
  {
    endpoint: "POST /dead-letters/{id}/redrive",
    query: schemaOf(outboxQuery, "input"),
    id: "redriveDeadLetter",
    tag: "dead letters",
    summary: "Redrive a dead letter",
    description:
      "Accepts it as a new command at the end of its per-key queues, or in the place of a dead letter that holds it (HOLD), linked both ways. Repeating the request returns the same new command.",
    answers: { "202": answer("Accepted as a new command.", ref("Accepted")) },
    problems: ["not-found", "invalid-query", "unreadable-payload", "redis-full", ...REDIS],
  },
  {
    endpoint: "POST /dead-letters/redrive",
    id: "redriveDeadLetters",
    tag: "dead letters",
    summary: "Redrive many dead letters",
    description: "Those that match the filter, in the order in which they were accepted.",
    body: schemaOf(redriveBody, "input"),
    answers: {
      "200": answer("`dry_run`: those that would be redriven.", schemaOf(redriveAnswer)),
      "202": answer("Accepted as new commands.", schemaOf(redriveAnswer)),
    },
    problems: ["not-json", "unsafe-json", "not-json-type", "invalid-body", "not-found", "redis-full", ...REDIS],
  },
  {
    endpoint: "DELETE /dead-letters/{id}",
    query: schemaOf(outboxQuery, "input"),
    id: "discardDeadLetter",
    tag: "dead letters",
    summary: "Discard a dead letter",
    description: "The receipt stays; the payload is deleted.",
    answers: { "204": { description: "Discarded." } },
    problems: ["not-found", "invalid-query", ...REDIS],
  },
  {
    endpoint: "GET /destinations",
    id: "listDestinations",
    tag: "destinations",
    summary: "List destinations",
    description: "The services that receive the CAD's events: state, backlog and last answer of each. Never a secret.",
    answers: {
      "200": answer("All of them.", schemaOf(destinationsAnswer)),
    },
    problems: REDIS,
  },
  {
    endpoint: "GET /destinations/{id}",
    id: "getDestination",
    tag: "destinations",
    summary: "Get one destination, its last attempts and its last replay",
    answers: { "200": answer("The destination.", schemaOf(destinationDetails)) },
    problems: ["not-found", ...REDIS],
  },
  {
    endpoint: "POST /destinations/{id}/replay",
    id: "replayDestination",
    tag: "destinations",
    summary: "Send events to a destination again",
    description:
      "From a time or an event on, those that its rules send, narrowed by `events` and `filter`. The destination's handler goes back in the journal and comes along it to where it was, so the live flow follows with no gap and no repeat, and each unit and incident keeps its order. Each event has the `webhook-id` that it had before. What waited and was never sent is sent once; a dead letter among them counts as redriven. Limited by the room in the destination's outbox (DESTINATION_BACKLOG).",
    body: schemaOf(replayBody, "input"),
    answers: {
      "200": answer("`dry_run`: what would be sent.", schemaOf(replayAnswer)),
      "202": answer("Started, or the worker has not answered yet: see GET /destinations/{id}.", schemaOf(replayAnswer)),
    },
    problems: [
      ...(["not-json", "unsafe-json", "not-json-type", "invalid-body", "not-found", "no-worker"] as const),
      ...(["replay-gone", "replay-running", "replay-refused", "unreadable-payload", ...REDIS] as const),
    ],
  },
  {
    endpoint: "POST /destinations/{id}/enable",
    id: "enableDestination",
    tag: "destinations",
    summary: "Resume a paused or disabled destination",
    description: "All waiting messages, including those scheduled for a retry, are sent at once.",
    answers: {
      "202": answer("The worker resumes within seconds.", schemaOf(enableAnswer)),
    },
    problems: ["not-found", ...REDIS],
  },
  {
    endpoint: "GET /audit",
    id: "listAudit",
    tag: "operation",
    summary: "List audit entries",
    description:
      "Everything that was accepted, refused (401, 403, 429) or done by an administrator, newest first. Positions and metrics get one entry an hour for each user and unit, a user's refusals, and what a user asked for that is not there, one an hour for each action: `nth` counts them all. Reading the trail is recorded in it.",
    query: schemaOf(auditQuery, "input"),
    answers: { "200": answer("A page.", schemaOf(auditPage)) },
    problems: ["invalid-query", "too-many-reads", ...REDIS],
  },
  {
    endpoint: "GET /health",
    id: "getHealth",
    tag: "operation",
    summary: "Get health",
    description: "Whether commands are delivered, measured by consumption; `problems` lists what is wrong.",
    answers: {
      "200": answer("Healthy, or degraded: commands are accepted.", ref("Health")),
      "503": answer("Unhealthy.", ref("Health")),
    },
  },
  {
    endpoint: "GET /status",
    id: "getStatus",
    tag: "operation",
    summary: "Get detailed status",
    answers: { "200": answer("Health, with counts.", ref("Status")) },
    problems: REDIS,
  },
  {
    endpoint: "GET /metrics",
    id: "getMetrics",
    tag: "operation",
    summary: "Get metrics",
    description: "In the text format of Prometheus. METRICS_TOKEN grants access as well.",
    answers: {
      "200": {
        description: "All metrics.",
        content: { "text/plain": { schema: { type: "string" }, example: "socket_bridge_cad_ready 1\n" } },
      },
    },
    problems: ["too-many-reads", "internal"],
  },
  {
    endpoint: "POST /reconnect",
    id: "reconnect",
    tag: "operation",
    summary: "Reconnect to the CAD",
    description: "Responds with 200 only once the bridge is ready again on a new connection.",
    answers: { "200": answer("Ready on a new connection.", ref("Reconnected")) },
    problems: ["no-worker", "reconnect-timeout", ...REDIS],
  },
  {
    endpoint: "GET /openapi.json",
    id: "getOpenApi",
    tag: "docs",
    summary: "Get the OpenAPI document",
    answers: { "200": answer("OpenAPI 3.1.", { type: "object" }) },
  },
  {
    endpoint: "GET /asyncapi.json",
    id: "getAsyncApi",
    tag: "docs",
    summary: "Get the AsyncAPI document",
    description: "Every message between bridge, CAD and services.",
    answers: { "200": answer("AsyncAPI 3.", { type: "object" }) },
  },
  {
    endpoint: "GET /schemas/{event}/{version}",
    id: "getEventSchema",
    tag: "docs",
    summary: "Get the JSON Schema of an event's payload",
    description: "What `dataschema` of a webhook names. Fields that may hold PHI are marked with `x-phi`.",
    answers: {
      "200": answer("JSON Schema 2020-12.", schemaOf(eventSchema)),
    },
    problems: ["not-found"],
  },
  {
    endpoint: "GET /docs",
    id: "getDocs",
    tag: "docs",
    summary: "Show the API reference",
    answers: { "200": html },
  },
];

/** The paths of the routes that are not commands. */
export function routePaths(routes: readonly Route[] = ROUTES): Json {
  const byPath = Map.groupBy(routes, (route) => partsOf(route).path);
  return Object.fromEntries(
    [...byPath].map(([path, these]) => [path, Object.fromEntries(these.map((r) => [partsOf(r).method, operation(r)]))]),
  );
}

function partsOf({ endpoint }: Route): { method: string; path: string } {
  const [method = "", path = ""] = endpoint.split(" ");
  return { method: method.toLowerCase(), path };
}

function operation(route: Route): Json {
  const role = { ...ENDPOINTS, ...CADS_ENDPOINTS }[route.endpoint];
  const any = role === ROLES.at(-1);
  const who = role === "public" ? "Public." : any ? "Requires any role." : `Requires the role \`${role}\`.`;
  const gate = role === "public" ? [] : GATED;
  return {
    operationId: route.id,
    tags: [route.tag],
    summary: route.summary,
    description: [route.description, who].filter(Boolean).join(" "),
    security: role === "public" ? [] : [{ bearer: [] }],
    parameters: [
      ...pathParameters(partsOf(route).path),
      ...queryParameters(route.query),
      ...headerParameters(route.headers),
    ],
    ...(route.body && { requestBody: { required: true, content: json(route.body) } }),
    responses: { ...route.answers, ...problems(...gate, ...(route.problems ?? [])) },
  };
}

const pathParameters = (path: string): Json[] =>
  [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));

const queryParameters = (schema: Json | undefined): Json[] =>
  Object.entries((schema?.["properties"] ?? {}) as Record<string, Json>).map(([name, field]) => {
    const { description, ...type } = field;
    return { name, in: "query", ...(description ? { description } : {}), schema: type };
  });

const headerParameters = (headers: Route["headers"]): Json[] =>
  Object.entries(headers ?? {}).map(([name, description]) => ({
    name,
    in: "header",
    description,
    schema: { type: "string" },
  }));
