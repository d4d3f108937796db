import { z } from "zod";
import { bridgeEvents } from "../journal/bridge-events.ts";
import { holdsMark, pathHoldsPhi } from "../vocabulary/phi.ts";
import { events } from "./table.ts";

/** Version of each event's schema: raised by changes that may break older readers. */
const VERSION = 1;

/** Contents of a webhook: PHI, or nothing that its schema marks as such. */
export const CLASSIFICATIONS = ["phi", "operational"] as const;
export type Classification = (typeof CLASSIFICATIONS)[number];

type Json = Record<string, unknown>;
/** Fields that any event may have (see `occurredAt`), beside those of its schema. */
const COMMON = { eventId: { type: ["string", "null"] }, occurredAt: { type: ["string", "null"] } };

const schemaOf = (payload: z.ZodType): Json => {
  const schema = z.toJSONSchema(payload, { io: "input", unrepresentable: "any" }) as Json;
  return { ...schema, properties: { ...COMMON, ...(schema["properties"] as Json | undefined) } };
};
const SCHEMAS: ReadonlyMap<string, Json> = new Map(
  [...events, ...Object.values(bridgeEvents)].map(({ name, payload }) => [name, schemaOf(payload)]),
);

/** The names of all events that have a schema. */
export const described = (): string[] => [...SCHEMAS.keys()];

const URN = "urn:socket-bridge:schema";

/**
 * The schema of an event's payload, served by GET /schemas/{event}/{version}: JSON Schema 2020-12. `partial` is for a webhook
 * whose rule selects fields: any of them may be absent. undefined for an unknown event or version.
 */
export function eventSchema(event: string, version: string): Json | undefined {
  const schema = SCHEMAS.get(event);
  if (!schema || version !== String(VERSION)) return undefined;
  const { $schema, required: _, ...partial } = schema;
  return { $schema, $id: `${URN}:${event}:${VERSION}`, title: event, ...schema, $defs: { partial } };
}

/** The `dataschema` of a webhook; undefined for an event without a schema. */
export function dataSchema(event: string, fields: readonly string[] | undefined): string | undefined {
  if (!SCHEMAS.has(event)) return undefined;
  return `${URN}:${event}:${VERSION}${fields ? "#/$defs/partial" : ""}`;
}

/** The classification of an event, or of the selected fields. An unknown event may contain anything. */
export function classify(event: string, fields: readonly string[] | undefined): Classification {
  const schema = SCHEMAS.get(event);
  const phi = !schema || (fields ? fields.some((path) => pathHoldsPhi(schema, path.split("."))) : holdsMark(schema));
  return phi ? "phi" : "operational";
}
