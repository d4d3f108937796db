import { commandPage, commandQuery, queueContent, queueList } from "../routes/command-search.ts";
import { historyAnswer } from "../routes/history.ts";
import { outboxQuery, revealAnswer, revealBody } from "../routes/dead-letters.ts";
import { enableAnswer, testAnswer } from "../routes/destinations.ts";
import { timelineAnswer, timelineQuery } from "../routes/timeline.ts";
import { answer, json, REDIS, type Route, schemaOf } from "./parts.ts";

/** The endpoints for the admin page besides the rest of the API. */
export const SEARCH_ROUTES: readonly Route[] = [
  {
    endpoint: "GET /commands",
    id: "listCommands",
    tag: "receipts",
    summary: "Search commands",
    description: "Newest first. A page may contain fewer than `limit` although more follow: see `next`.",
    query: schemaOf(commandQuery, "input"),
    answers: {
      "200": answer("A page.", schemaOf(commandPage)),
    },
    problems: ["invalid-query", "too-many-reads", ...REDIS],
  },
  {
    endpoint: "GET /queues",
    id: "listQueues",
    tag: "receipts",
    summary: "List the queues in which commands wait",
    description: "Queues of the 1000 oldest unsettled commands, longest wait first.",
    answers: {
      "200": answer("The queues that are not empty.", schemaOf(queueList)),
    },
    problems: ["too-many-reads", ...REDIS],
  },
  {
    endpoint: "GET /queues/{id}",
    id: "getQueue",
    tag: "receipts",
    summary: "Get the queue of a unit or an incident",
    description: "Named `unit:ID`, `incident:ID`, `metrics` or `other`.",
    answers: { "200": answer("Its commands, and why the first of them is waiting.", schemaOf(queueContent)) },
    problems: ["not-found", ...REDIS],
  },
  {
    endpoint: "POST /dead-letters/{id}/reveal",
    id: "revealDeadLetter",
    tag: "dead letters",
    summary: "Show the payload of a dead letter",
    description: "Recorded in the audit trail, with the reason, before it is shown.",
    query: schemaOf(outboxQuery, "input"),
    body: schemaOf(revealBody, "input"),
    answers: {
      "200": answer("Its payload.", schemaOf(revealAnswer)),
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
    description: "It stays disabled until it is enabled again; messages wait meanwhile.",
    answers: { "202": answer("The worker stops within seconds.", schemaOf(enableAnswer)) },
    problems: ["not-found", ...REDIS],
  },
  {
    endpoint: "POST /destinations/{id}/test",
    id: "testDestination",
    tag: "destinations",
    summary: "Send a test event to a destination",
    description:
      "Sends the event `bridge:test`, which concerns no unit or incident, regardless of the rules. It is signed, retried and counted like any other. Responds once it is delivered, or after 5 s.",
    answers: { "200": answer("The outcome.", schemaOf(testAnswer)) },
    problems: ["not-found", "redis-full", ...REDIS],
  },
  {
    endpoint: "GET /incidents/{id}/timeline",
    id: "getIncidentTimeline",
    tag: "state",
    summary: "Get the timeline of an incident",
    description:
      "Commands with their receipts, callers and audit entries, CAD events with their deliveries to each destination, and the times of the call, sorted by time. At most 500 commands and 500 events: continue from `next_since`.",
    query: schemaOf(timelineQuery, "input"),
    answers: {
      "200": {
        description: "Sorted by time. With `format=csv`, the same as CSV.",
        content: {
          ...json(schemaOf(timelineAnswer)),
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
    summary: "Get recent history",
    answers: {
      "200": answer(
        "The last hour by minutes, the connection over the last day, and the workers.",
        schemaOf(historyAnswer),
      ),
    },
    problems: REDIS,
  },
  {
    endpoint: "GET /admin",
    id: "getAdmin",
    tag: "operation",
    summary: "Show the admin page",
    description: "Contains no data: it calls this API with the token that the user enters.",
    answers: { "200": { description: "A page.", content: { "text/html": { schema: { type: "string" } } } } },
  },
];
