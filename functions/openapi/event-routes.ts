import type { z } from "zod";
import { sseEvent, ssePosition } from "../http/sse.ts";
import { eventDetails, eventPage, historyQuery, streamQuery } from "../routes/events.ts";
import { incidentPage, stateAnswer, stateQuery, unitPage } from "../routes/state.ts";
import { answer, type Json, REDIS, ref, type Route, schemaOf } from "./parts.ts";

const withMore = (schema: string, more: z.ZodObject): Json => ({ allOf: [ref(schema), schemaOf(more)] });

const STREAM_EXAMPLE = `retry: 1000
${ssePosition("1769897112000-0")}${sseEvent("1769897112345-0", "unit:status:updated", '{"id":"1769897112345-0","event":"unit:status:updated"}')}`;

/** What the CAD said, and what is known from it. */
export const EVENT_ROUTES: readonly Route[] = [
  {
    endpoint: "GET /events",
    id: "streamEvents",
    tag: "events",
    summary: "The CAD's events as they come",
    description:
      "Server-Sent Events: `id` is the entry's id in the journal, `event` its name, `data` the entry as JSON. Without an id it begins with what comes from now on; with the id of the last entry that a client got, with what followed it: nothing is left out and nothing is sent twice. The stream begins with an event `bridge:position`, and sends another after each `STREAM_HEARTBEAT_MS` without an entry: its `id` is how far the stream has come, and it is no entry. A client that does not read what was sent is cut off, and the stream ends with its token.",
    query: schemaOf(streamQuery, "input"),
    headers: { "Last-Event-ID": "The last entry that the client got. Goes before `last_event_id`." },
    answers: {
      "200": {
        description: "A stream of entries. It goes on until the client leaves.",
        content: {
          "text/event-stream": {
            schema: {
              type: "string",
              description: '`data`: an Event, as JSON; of `bridge:position`, `{"position": id}`.',
            },
            example: STREAM_EXAMPLE,
          },
        },
      },
    },
    problems: ["invalid-header", "gone", "unreadable-payload", "invalid-query", "too-many-streams", ...REDIS],
  },
  {
    endpoint: "GET /events/history",
    id: "listEvents",
    tag: "events",
    summary: "The CAD's events as they came",
    description:
      "The journal in pages. A page may hold fewer entries than `limit` although there are more: `next` tells.",
    query: schemaOf(historyQuery, "input"),
    answers: { "200": answer("A page.", schemaOf(eventPage)) },
    problems: ["gone", "too-many-reads", "invalid-query", ...REDIS],
  },
  {
    endpoint: "GET /events/{id}",
    id: "getEvent",
    tag: "events",
    summary: "One event, and what became of it",
    answers: {
      "200": answer(
        "The entry, what each handler made of it, and what became of it at each destination.",
        withMore("Event", eventDetails),
      ),
    },
    problems: ["not-found", ...REDIS],
  },
  ...(["Unit", "Incident"] as const).flatMap((kind): Route[] => {
    const path = ({ Unit: "/units", Incident: "/incidents" } as const)[kind];
    const word = kind.toLowerCase();
    return [
      {
        endpoint: `GET ${path}`,
        id: `list${kind}s`,
        tag: "state",
        summary: `What is known of each ${word}`,
        description: "From the CAD's events, by id. Every value says when it came about, and how old it is.",
        query: schemaOf(stateQuery, "input"),
        answers: { "200": answer("A page.", schemaOf(kind === "Unit" ? unitPage : incidentPage)) },
        problems: ["invalid-query", ...REDIS],
      },
      {
        endpoint: `GET ${path}/{id}`,
        id: `get${kind}`,
        tag: "state",
        summary: `What is known of one ${word}`,
        description: "Kept for 30 days after the last word of it.",
        answers: { "200": answer("The newest of everything.", withMore(kind, stateAnswer)) },
        problems: ["not-found", ...REDIS],
      },
    ];
  }),
];
