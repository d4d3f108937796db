import { z } from "zod";
import { requestObject } from "../vocabulary/request-object.ts";
import {
  bodyTime,
  incidentId,
  instant,
  isNaive,
  location,
  MAX_FUTURE_MS,
  timestampField,
  wirePoint,
  withOffset,
} from "../vocabulary/fields.ts";
import { incidentKey } from "../vocabulary/ordering-key.ts";
import { CAD_TIME_COLUMNS, toCadColumn } from "../vocabulary/cad-vocabulary.ts";
import { defineCommand } from "./command.ts";

const NO_OFFSET =
  "has no offset: add Z or one such as -08:00; where all such times are in UTC, start the functions with NAIVE_TIMES=utc";

export const incidentsTimestamp = defineCommand({
  name: "incidents/timestamp",
  role: "crew",
  summary: "Record one of an incident's times",
  description:
    "The times that a claim is paid by. `field` is translated to the CAD's column; the CAD has one column, time_completed, for both available_at and completed_at.",
  body: requestObject({
    incident_id: incidentId,
    field: timestampField,
    timestamp: bodyTime,
    location: location.optional(),
    source: z.enum(["manual", "auto"]).default("manual").meta({ description: "Entered by somebody, or by a device." }),
  }),
  check: ({ timestamp }, { now, naiveTimes }) => {
    if (naiveTimes === "refuse" && isNaive(timestamp)) return [{ path: ["timestamp"], message: NO_OFFSET }];
    return Date.parse(withOffset(timestamp)) > now.getTime() + MAX_FUTURE_MS
      ? [{ path: ["timestamp"], message: "is more than one hour in the future" }]
      : [];
  },
  keys: (b) => [incidentKey(b.incident_id)],
  emits: ["incident:timestamp"],
  wire: (b) => ({
    event: "incident:timestamp",
    payload: {
      incidentId: b.incident_id,
      field: toCadColumn(b.field),
      timestamp: withOffset(b.timestamp),
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
  slots: true,
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
