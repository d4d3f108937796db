import { z } from "zod";
import { TIMESTAMP_FIELD_NAMES } from "./cad-vocabulary.ts";
import { requestObject } from "./request-object.ts";
import { INCIDENT_STATUS_WORDS, PRIORITIES, priorityOf, spelling, UNIT_STATUS_WORDS } from "./words.ts";

/** The request fields shared by several commands, with their bounds and their descriptions for the API docs. */

const orMissing = (message: string) => (issue: { input?: unknown }) =>
  issue.input === undefined ? "is required" : message;

/** A word of a table, in any case, with spaces or hyphens instead of underscores. The API docs list both cases. */
function wordOf(words: readonly string[], error: ReturnType<typeof orMissing>) {
  const listed = new Set([...words, ...words.map((word) => word.toUpperCase())]);
  return z
    .string({ error })
    .meta({ enum: [...listed] })
    .transform(spelling)
    .pipe(z.enum(words, { error }));
}

/** A word that is translated by the table. */
function translated(table: Readonly<Record<string, string>>) {
  const words = Object.keys(table);
  return wordOf(words, orMissing(`must be one of ${words.join(", ")}, in upper or lower case`))
    .transform((word) => table[word])
    .pipe(z.enum([...new Set(Object.values(table))]));
}

// oxlint-disable-next-line no-control-regex -- spelled out, since who reads the documents may not know \p{Cc}
const ID = /^(?!\s)[^\u0000-\u001f\u007f-\u009f]*(?<!\s)$/u;
/** An id as text. A number from a database becomes its text: the CAD and the ordering keys only use texts. */
const idText = z
  .string()
  .min(1)
  .max(200)
  .regex(ID, "must not start or end with white space or hold control characters");
const id = (what: string) =>
  z
    .union([idText, z.int()], { error: orMissing("must be a text, or an integer from -(2^53 - 1) to 2^53 - 1") })
    .transform(String)
    .pipe(idText)
    .meta({ description: what });

export const unitId = id("The unit, as the CAD names it.");
export const incidentId = id("The incident, as the CAD names it.");
export const epcrId = id("The patient care report.");
export const userId = id("Who changes it.");

export const incidentType = z
  .string()
  .min(1)
  .max(200)
  .meta({ description: "Type of the incident, in the CAD's terms." });
export const wireAddress = z.string().min(1).max(1000).meta({ description: "Address of the incident." });
/** A blank address counts as absent. */
export const address = z
  .string()
  .max(1000)
  .transform((text) => (text.trim() === "" ? undefined : text))
  .meta({ description: "Address of the incident. A blank one counts as absent." });

const PRIORITY_WORDS = Object.keys(PRIORITIES);
const error = orMissing(`must be a number from 1 to 5, or one of ${PRIORITY_WORDS.join(", ")}`);
const priorityNumber = z.int({ error }).min(1, { error }).max(5, { error });
export const priority = z
  .union([priorityNumber, wordOf(PRIORITY_WORDS, error)], { error })
  .transform(priorityOf)
  .pipe(priorityNumber)
  .meta({ description: "1 is the most urgent. A word, in any case, becomes its number." });

export const details = z
  .union([z.string().max(20_000), z.record(z.string(), z.unknown())])
  .meta({ description: "Further information for the crew: a text or an object, passed on unchanged." });

export const unitStatus = translated(UNIT_STATUS_WORDS).meta({
  description: "The unit's new status, in any case; sent to the CAD in lower case.",
});
export const incidentStatus = translated(INCIDENT_STATUS_WORDS).meta({
  description: "The incident's new status, in any case; sent to the CAD in lower case and in the CAD's own word.",
});
export const timestampField = z.enum(TIMESTAMP_FIELD_NAMES).meta({
  description: "One of the API's names, translated to the CAD's column, or the CAD's column itself.",
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

/** Whether a time without an offset is refused or read as UTC (`NAIVE_TIMES`). */
export const NAIVE_TIMES = ["refuse", "utc"] as const;
export type NaiveTimes = (typeof NAIVE_TIMES)[number];

/** A time in a command's body. One without an offset passes until the command's `check`, which knows `NAIVE_TIMES`. */
export const bodyTime = z.iso
  .datetime({ offset: true, local: true, error: orMissing("must be an ISO 8601 time, such as 2026-01-31T14:05:00Z") })
  .meta({
    description:
      "ISO 8601 with an offset or Z; at most one hour in the future. Without an offset it is refused, or read as UTC if the bridge runs with `NAIVE_TIMES=utc`.",
  });
const OFFSET = /(?:Z|[+-]\d\d:?\d\d)$/i;
export const isNaive = (time: string): boolean => !OFFSET.test(time);
/** Adds the offset to a time without one, which was accepted as UTC. */
export const withOffset = (time: string): string => (isNaive(time) ? `${time}Z` : time);

/** A GeoJSON Point (RFC 7946): longitude first. */
export interface Point {
  type: "Point";
  coordinates: [longitude: number, latitude: number];
}
export const point = (lng: number, lat: number): Point => ({ type: "Point", coordinates: [lng, lat] });

/** A location as sent to the CAD. */
export const wirePoint = z
  .object({ type: z.literal("Point"), coordinates: z.tuple([longitude, latitude]) })
  .meta({ description: "GeoJSON Point: longitude first." });

/** A location in any of the three forms that clients send; parsed to a GeoJSON Point. */
export const location = z
  .union([
    requestObject({ lat: latitude, lng: longitude }).transform((l) => point(l.lng, l.lat)),
    requestObject({ latitude, longitude }).transform((l) => point(l.longitude, l.latitude)),
    requestObject({ type: z.literal("Point"), coordinates: z.tuple([longitude, latitude]) }).transform((l) =>
      point(l.coordinates[0], l.coordinates[1]),
    ),
  ])
  .meta({ description: "`{ lat, lng }`, `{ latitude, longitude }` or a GeoJSON Point (longitude first)." });
