import { z } from "zod";
import { INCIDENT_STATUSES, TIMESTAMP_FIELD_NAMES, UNIT_STATUSES } from "./cad-vocabulary.ts";

/** The request fields that several commands share, each with its bounds and its words for the API docs. */

// oxlint-disable-next-line no-control-regex -- spelled out, since who reads the documents may not know \p{Cc}
const ID = /^(?!\s)[^\u0000-\u001f\u007f-\u009f]*(?<!\s)$/u;
const id = (what: string) =>
  z
    .string()
    .min(1)
    .max(200)
    .regex(ID, "must not start or end with white space or hold control characters")
    .meta({ description: what });

export const unitId = id("The unit, as the CAD names it.");
export const incidentId = id("The incident, as the CAD names it.");
export const epcrId = id("The patient care report.");
export const userId = id("Who changes it.");

export const incidentType = z.string().min(1).max(200).meta({ description: "What happened, in the CAD's words." });
export const address = z.string().min(1).max(1000).meta({ description: "Where it happened." });
export const priority = z.int().min(1).max(5).meta({ description: "1 is the most urgent." });
export const details = z
  .union([z.string().max(20_000), z.record(z.string(), z.unknown())])
  .meta({ description: "Whatever else the crew should know: a text or an object. Goes along as it is." });

export const unitStatus = z.enum(UNIT_STATUSES).meta({ description: "The unit's new status." });
export const incidentStatus = z
  .enum([...INCIDENT_STATUSES, ...INCIDENT_STATUSES.map((s) => s.toUpperCase() as Uppercase<typeof s>)])
  .meta({ description: "The incident's new status, in lower or upper case; sent to the CAD in lower case." });
export const timestampField = z.enum(TIMESTAMP_FIELD_NAMES).meta({
  description: "Which time: one of the API's names, translated to the CAD's column, or the CAD's column itself.",
});

export const latitude = z.number().min(-90).max(90).meta({ description: "Degrees north, WGS 84." });
export const longitude = z.number().min(-180).max(180).meta({ description: "Degrees east, WGS 84." });
export const heading = z.number().min(0).max(360).meta({ description: "Degrees clockwise from north." });
export const speed = z.number().min(0).meta({ description: "km/h. The CAD gets m/s." });

/** An instant with its offset. Refused if it is more than this far in the future (NEMSIS nemSch_e056: one hour). */
export const MAX_FUTURE_MS = 3_600_000;
export const instant = z.iso
  .datetime({ offset: true, error: "must be an ISO 8601 time with an offset or Z, such as 2026-01-31T14:05:00Z" })
  .meta({ description: "ISO 8601 with an offset or Z; at most one hour in the future." });

/** A GeoJSON Point (RFC 7946): longitude first. */
export interface Point {
  type: "Point";
  coordinates: [longitude: number, latitude: number];
}
export const point = (lng: number, lat: number): Point => ({ type: "Point", coordinates: [lng, lat] });

/** A place as the CAD gets it. */
export const wirePoint = z
  .object({ type: z.literal("Point"), coordinates: z.tuple([longitude, latitude]) })
  .meta({ description: "GeoJSON Point: longitude first." });

/** A place in any of the three forms that clients write; always a GeoJSON Point afterwards. */
export const location = z
  .union([
    z.strictObject({ lat: latitude, lng: longitude }).transform((l) => point(l.lng, l.lat)),
    z.strictObject({ latitude, longitude }).transform((l) => point(l.longitude, l.latitude)),
    z
      .strictObject({ type: z.literal("Point"), coordinates: z.tuple([longitude, latitude]) })
      .transform((l) => point(l.coordinates[0], l.coordinates[1])),
  ])
  .meta({ description: "`{ lat, lng }`, `{ latitude, longitude }` or a GeoJSON Point (longitude first)." });
