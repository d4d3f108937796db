import { z } from "zod";
import { incidentId, instant, location, MAX_FUTURE_MS, timestampField, wirePoint } from "../vocabulary/fields.ts";
import { incidentKey } from "../vocabulary/ordering-key.ts";
import { CAD_TIME_COLUMNS, toCadColumn } from "../vocabulary/cad-vocabulary.ts";
import { defineCommand } from "./command.ts";

export const incidentsTimestamp = defineCommand({
  name: "incidents/timestamp",
  role: "crew",
  summary: "Record one of an incident's times",
  description:
    "The times that a claim is paid by. `field` is translated to the CAD's column; the CAD has one column, time_completed, for both available_at and completed_at.",
  body: z.strictObject({
    incident_id: incidentId,
    field: timestampField,
    timestamp: instant,
    location: location.optional(),
    source: z.enum(["manual", "auto"]).default("manual").meta({ description: "Entered by somebody, or by a device." }),
  }),
  check: (b, now) =>
    Date.parse(b.timestamp) > now.getTime() + MAX_FUTURE_MS
      ? [{ path: ["timestamp"], message: "is more than one hour in the future" }]
      : [],
  keys: (b) => [incidentKey(b.incident_id)],
  emits: ["incident:timestamp"],
  wire: (b) => ({
    event: "incident:timestamp",
    payload: {
      incidentId: b.incident_id,
      field: toCadColumn(b.field),
      timestamp: b.timestamp,
      location: b.location,
      source: b.source,
    },
  }),
  payload: z.object({
    incidentId,
    field: z.enum(CAD_TIME_COLUMNS).meta({ description: "The CAD's own column." }),
    timestamp: instant,
    location: wirePoint.optional(),
    source: z.enum(["manual", "auto"]),
  }),
  effect: "sets",
  slot: (b) => b.field,
  echo: {
    event: "incident:timestamp:updated",
    proves: "write",
    fields: ["incidentId", "field", "timestamp", "location"],
  },
  examples: [
    {
      summary: "Arrived on scene",
      body: {
        incident_id: "INC-2026-004711",
        field: "onscene_at",
        timestamp: "2026-01-31T14:05:00-08:00",
        location: { latitude: 37.7886, longitude: -122.3988 },
        source: "auto",
      },
    },
  ],
});
