import { commandQuery, foundCommand, queueContent, queueSummary } from "../routes/command-search.ts";
import { historyAnswer } from "../routes/history.ts";
import { outboxQuery, revealBody } from "../routes/dead-letters.ts";
import { enableAnswer, testAnswer } from "../routes/destinations.ts";
import { timelineItem, timelineQuery } from "../routes/timeline.ts";
import { answer, json, REDIS, type Route, schemaOf } from "./parts.ts";

/** What the admin page asks beside the rest of the API. */
export const SEARCH_ROUTES: readonly Route[] = [
  {
    endpoint: "GET /commands",
    id: "listCommands",
    tag: "receipts",
    summary: "Search commands",
    description: "Newest first. A page may contain fewer than `limit` although more follow: see `next`.",
    query: schemaOf(commandQuery, "input"),
    answers: {
      "200": answer("A page.", {
        type: "object",
        required: ["commands", "next"],
        properties: {
          commands: { type: "array", items: schemaOf(foundCommand) },
          next: { type: ["string", "null"], description: "The cursor of the next page." },
        },
      }),
    },
    problems: ["invalid-query", "too-many-reads", ...REDIS],
  },
  {
    endpoint: "GET /queues",
    id: "listQueues",
    tag: "receipts",
    summary: "List the queues in which commands wait",
    description: "Those of the 1000 oldest unsettled commands, the one that waits longest first.",
    answers: {
      "200": answer("The queues that are not empty.", {
        type: "object",
        required: ["queues", "more"],
        properties: {
          queues: { type: "array", items: schemaOf(queueSummary) },
          more: { type: "boolean", description: "More commands wait than were looked at." },
        },
      }),
    },
    problems: ["too-many-reads", ...REDIS],
  },
  {
    endpoint: "GET /queues/{id}",
    id: "getQueue",
    tag: "receipts",
    summary: "Get what waits in the queue of a unit or an incident",
    description: "Named `unit:ID`, `incident:ID`, `metrics` or `other`.",
    answers: { "200": answer("Its commands, and why the first of them does not move.", schemaOf(queueContent)) },
    problems: ["not-found", ...REDIS],
  },
  {
    endpoint: "POST /dead-letters/{id}/reveal",
    id: "revealDeadLetter",
    tag: "dead letters",
    summary: "Show the payload of a dead letter",
    description: "Noted in the audit trail with the reason before it is shown.",
    query: schemaOf(outboxQuery, "input"),
    body: schemaOf(revealBody, "input"),
    answers: {
      "200": answer("Its payload.", {
        type: "object",
        required: ["command_id", "payload"],
        properties: { command_id: { type: "string" }, payload: {} },
      }),
    },
    problems: [
      ...(["not-json", "unsafe-json", "not-json-type", "invalid-body", "invalid-query", "not-found"] as const),
      "unreadable-payload",
      ...REDIS,
    ],
  },
  {
    endpoint: "POST /destinations/{id}/pause",
    id: "pauseDestination",
    tag: "destinations",
    summary: "Stop sending to a destination",
    description: "It is disabled until somebody enables it; what comes meanwhile waits.",
    answers: { "202": answer("The worker stops within seconds.", schemaOf(enableAnswer)) },
    problems: ["not-found", ...REDIS],
  },
  {
    endpoint: "POST /destinations/{id}/test",
    id: "testDestination",
    tag: "destinations",
    summary: "Send a test event to a destination",
    description:
      "An event `bridge:test` that is about nobody, whatever the rules say; it is signed, retried and counted as all others. The answer comes when it is delivered, after 5 s at the latest.",
    answers: { "200": answer("What came of it.", schemaOf(testAnswer)) },
    problems: ["not-found", "redis-full", ...REDIS],
  },
  {
    endpoint: "GET /incidents/{id}/timeline",
    id: "getIncidentTimeline",
    tag: "state",
    summary: "Get everything that happened around an incident, in order",
    description:
      "Commands with their receipts, who asked for them and the audit trail's proof, the CAD's events, what became of them at each destination, and the times of the call. At most 500 commands and 500 events: `next_since` says where to go on.",
    query: schemaOf(timelineQuery, "input"),
    answers: {
      "200": {
        description: "In order. With `format=csv` the same as CSV.",
        content: {
          ...json({
            type: "object",
            required: ["timestamp", "incident_id", "items", "next_since"],
            properties: {
              timestamp: { type: "string" },
              incident_id: { type: "string" },
              items: { type: "array", items: schemaOf(timelineItem) },
              next_since: { type: ["string", "null"], description: "`since` of the next part; null: there is none." },
            },
          }),
          "text/csv": { schema: { type: "string" }, example: "at,kind,what\r\n" },
        },
      },
    },
    problems: ["not-found", "too-many-reads", "invalid-query", ...REDIS],
  },
  {
    endpoint: "GET /history",
    id: "getHistory",
    tag: "operation",
    summary: "Get the last hour in minutes, the connection in the last day, and the workers",
    answers: { "200": answer("What is known of it.", schemaOf(historyAnswer)) },
    problems: REDIS,
  },
  {
    endpoint: "GET /admin",
    id: "getAdmin",
    tag: "operation",
    summary: "Show the admin page",
    description: "It holds no data: it asks this API with the token that is typed into it.",
    answers: { "200": { description: "A page.", content: { "text/html": { schema: { type: "string" } } } } },
  },
];
