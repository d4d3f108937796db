import { commandQuery, foundCommand, queueContent, queueSummary } from "../routes/command-search.ts";
import { historyAnswer } from "../routes/history.ts";
import { outboxQuery, revealBody } from "../routes/dead-letters.ts";
import { answer, REDIS, type Route, schemaOf } from "./parts.ts";

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
