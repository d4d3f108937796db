import type { z } from "zod";
import { sseEvent, ssePosition } from "../http/sse.ts";
import { eventDetails, eventPage, historyQuery, streamQuery } from "../routes/events.ts";
import { incidentPage, stateAnswer, stateQuery, unitPage } from "../routes/state.ts";
import { answer, type Json, REDIS, ref, type Route, schemaOf } from "./parts.ts";

const withMore = (schema: string, more: z.ZodObject): Json => ({ allOf: [ref(schema), schemaOf(more)] });

const STREAM_EXAMPLE = `retry: 1000
${ssePosition("1769897112000-0")}${sseEvent("1769897112345-0", "unit:status:updated", '{"id":"1769897112345-0","event":"unit:status:updated"}')}`;

/** The CAD's events, and the state derived from them. */
export const EVENT_ROUTES: readonly Route[] = [
  {
    endpoint: "GET /events",
    id: "streamEvents",
    tag: "events",
    summary: "Stream CAD events",
    description:
      "Server-Sent Events: `id` is the id of the journal entry, `event` its name, `data` the entry as JSON. Without an id, the stream starts with new events; with the id of the last entry received, it resumes after that entry, with no gap and no repeat. The stream starts with an event `bridge:position` and repeats it after every `STREAM_HEARTBEAT_MS` without an entry: its `id` is the current position; it is not a journal entry. A client that does not read in time is disconnected, and the stream ends when the token expires.",
    query: schemaOf(streamQuery, "input"),
    headers: {
      "Last-Event-ID": "Id of the last entry that the client received. Takes precedence over `last_event_id`.",
    },
    answers: {
      "200": {
        description: "A stream of entries, until the client disconnects.",
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
    summary: "List past CAD events",
    description:
      "The journal in pages. A page may contain fewer entries than `limit` although more follow: see `next`.",
    query: schemaOf(historyQuery, "input"),
    answers: { "200": answer("A page.", schemaOf(eventPage)) },
    problems: ["gone", "too-many-reads", "invalid-query", ...REDIS],
  },
  {
    endpoint: "GET /events/{id}",
    id: "getEvent",
    tag: "events",
    summary: "Get one event and its deliveries",
    answers: {
      "200": answer(
        "The entry, the result of each handler, and the delivery to each destination.",
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
        summary: `List ${word}s`,
        description: "The latest state from CAD events, sorted by id. Every value has its time and age.",
        query: schemaOf(stateQuery, "input"),
        answers: { "200": answer("A page.", schemaOf(kind === "Unit" ? unitPage : incidentPage)) },
        problems: ["invalid-query", ...REDIS],
      },
      {
        endpoint: `GET ${path}/{id}`,
        id: `get${kind}`,
        tag: "state",
        summary: `Get one ${word}`,
        description: "Deleted 30 days after the last event about it.",
        answers: { "200": answer("The latest values.", withMore(kind, stateAnswer)) },
        problems: ["not-found", ...REDIS],
      },
    ];
  }),
];
