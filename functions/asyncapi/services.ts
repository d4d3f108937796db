import { z } from "zod";
import { bridgeEvents } from "../../shared/journal/bridge-events.ts";
import { CLASSIFICATIONS } from "../../shared/events/contract.ts";
import { BRIDGE_EVENTS } from "../../shared/journal/entry.ts";
import { entryResponse } from "../../shared/journal/to-response.ts";
import type { Json } from "../openapi/parts.ts";
import { part, type Part, payloadOf } from "./parts.ts";

/** What the services receive of the CAD's events: as a stream and as webhooks. */
const ENTRY = {
  id: "1769896812000-0",
  cad: "https://cad.example",
  event: "unit:status:updated",
  kind: "event",
  occurred_at: null,
  received_at: "2026-01-31T22:00:12.000000Z",
  own_command: "6f1c1f6e-1f0e-4b5e-9d0a-0d4f5c1f2a3b",
  recovered: null,
  about: { units: ["M12"], incidents: ["INC-2026-004711"] },
  payload: { unitId: "M12", status: "enroute", incidentId: "INC-2026-004711" },
  wrong: [],
};

const cloudEvent = z.looseObject({
  specversion: z.literal("1.0"),
  id: z.string().describe("Id of the journal entry."),
  source: z.string().describe("`urn:socket-bridge:` and REDIS_PREFIX."),
  type: z.string().describe("The event's name."),
  subject: z.string().optional().describe("The unit or incident concerned."),
  time: z.string(),
  datacontenttype: z.literal("application/json"),
  dataschema: z.string().optional().describe("The schema of `data`: see GET /schemas/{event}/{version}."),
  dataclassification: z.enum(CLASSIFICATIONS).describe("`phi`: `data` may hold protected health information."),
  data: z.unknown().describe("The event's payload, or the fields of it that the rule names."),
  owncommand: z.string().optional().describe("The bridge's command of which this is the echo."),
  traceparent: z
    .string()
    .optional()
    .describe("The trace that it belongs to (W3C Trace Context): that of the command, or of the event."),
  recovered: z.boolean().optional(),
});

/** The schema of a journal entry with this event and payload. */
const entryOf = (event: string, payload: Json): Json => {
  const entry = payloadOf(entryResponse, "output");
  return { ...entry, properties: { ...(entry["properties"] as Json), event: { const: event }, payload } };
};

export const journalParts = (): Part[] => [
  part({
    action: "send",
    channel: "journal",
    event: "event",
    summary: "An event of the CAD",
    description: "In the order of arrival. The SSE field `event` is the event's name, `id` the entry's id.",
    payload: payloadOf(entryResponse, "output"),
    examples: [{ payload: ENTRY }],
    tag: "services",
  }),
  ...Object.values(bridgeEvents).map(({ name, summary, payload, examples }) =>
    part({
      action: "send",
      channel: "journal",
      event: name,
      summary,
      description: "Reported by the bridge itself, between the CAD's events.",
      payload: entryOf(name, payloadOf(payload, "output")),
      examples: examples.map((example) => ({
        payload: {
          ...ENTRY,
          event: name,
          kind: "bridge",
          own_command: null,
          recovered: name === BRIDGE_EVENTS.gap ? false : null,
          about: { units: [], incidents: [] },
          payload: example,
        },
      })),
      tag: "services",
    }),
  ),
];

export const webhookParts = (): Part[] => [
  part({
    action: "send",
    channel: "webhooks",
    event: "webhook",
    summary: "A journal event sent to a service",
    description:
      "A POST of a CloudEvent in structured mode, signed by Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`). The rules select the events and fields. Any 2xx is success.",
    payload: payloadOf(cloudEvent, "output"),
    examples: [
      {
        payload: {
          specversion: "1.0",
          id: ENTRY.id,
          source: "urn:socket-bridge:socket-bridge",
          type: "transport:completed",
          subject: "incident:INC-2026-004711",
          time: "2026-01-31T22:00:12.000000Z",
          datacontenttype: "application/json",
          dataschema: "urn:socket-bridge:schema:transport:completed:1",
          dataclassification: "phi",
          data: { incidentId: "INC-2026-004711", epcrId: "EPCR-90210", transportType: "ALS" },
        },
      },
    ],
    tag: "services",
  }),
];
