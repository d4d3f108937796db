import { z } from "zod";
import { chronologyWarnings } from "../vocabulary/chronology.ts";
import { eTimeOf } from "../vocabulary/etimes.ts";
import { type Micros, secondsBetween, toIso } from "../util/time.ts";
import { type Aspect, type StateRecord, unitsOf } from "./read.ts";

const dated = {
  as_of: z.string().meta({ description: "Time of the value." }),
  age_seconds: z.number().meta({ description: "Age of the value at the time of the response, s." }),
  unreadable: z.string().optional().meta({ description: "Why the value cannot be read; it is null then." }),
};

/** The newest value and its age; null if there is none. */
const known = (value: z.ZodType, description?: string) =>
  z.object({ value: value.nullable().meta(description ? { description } : {}), ...dated }).nullable();

export const unitState = z.object({
  unit_id: z.string(),
  status: known(z.string()),
  location: known(z.unknown(), "As the CAD sends it: a GeoJSON Point from the terminals and from the bridge."),
  heading: known(z.number(), "Degrees clockwise from north."),
  speed: known(z.number(), "m/s, as the CAD sends it."),
  incident: known(z.string(), "The incident named in the latest status that had one."),
  assignment: known(z.string(), "The incident of the latest assignment."),
});

const warning = z.object({
  code: z.enum(["order", "future", "unreadable"]).meta({
    description:
      "`order`: the first column is later than the second. `future`: more than an hour ahead. `unreadable`: not a time with an offset.",
  }),
  columns: z.array(z.string()),
  message: z.string(),
});

export const incidentState = z.object({
  incident_id: z.string(),
  status: known(z.string()),
  details: known(z.unknown(), "As the CAD sent them when it was created."),
  units: z.array(z.object({ unit_id: z.string(), status: known(z.string()), assigned: known(z.boolean()) })),
  assignments: z.array(z.object({ unit_id: z.string(), ...dated })),
  timestamps: z.array(
    z.object({
      column: z.string().meta({ description: "The CAD's column." }),
      etimes: z.string().nullable().meta({ description: "The NEMSIS 3.5.1 element." }),
      etimes_name: z.string().nullable(),
      timestamp: z.unknown(),
      location: z.unknown(),
      ...dated,
    }),
  ),
  warnings: z.array(warning).meta({ description: "Implausible timestamps." }),
  completion: known(z.object({ epcr_id: z.unknown(), transport_type: z.unknown(), destination: z.unknown() })),
});
type UnitState = z.infer<typeof unitState>;
type IncidentState = z.infer<typeof incidentState>;

/** A field of an aspect's value; the aspects are as the CAD's events set them. */
const field = (aspect: Aspect, name: string): unknown =>
  (aspect.value as Record<string, unknown> | null)?.[name] ?? null;

const datesOf = ({ at, unreadable }: Aspect, now: Micros) => ({
  as_of: toIso(at),
  age_seconds: secondsBetween(at, now),
  ...(unreadable !== undefined && { unreadable }),
});

const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
const number = (value: unknown): number | null => (typeof value === "number" ? value : null);

/** @param now the time of the answer */
function datedAspects({ aspects }: StateRecord, now: Micros) {
  return {
    known<Value>(name: string, read: (aspect: Aspect) => Value) {
      const aspect = aspects[name];
      return aspect ? { value: read(aspect), ...datesOf(aspect, now) } : null;
    },
    /** The aspects with this prefix, by the rest of their names. */
    all: (prefix: string): [string, Aspect][] =>
      Object.entries(aspects).flatMap(([name, aspect]) =>
        name.startsWith(prefix) ? [[name.slice(prefix.length), aspect] as [string, Aspect]] : [],
      ),
  };
}

export function toUnitResponse(record: StateRecord, now: Micros): UnitState {
  const { known: withDates } = datedAspects(record, now);
  return {
    unit_id: record.id,
    status: withDates("status", (a) => text(a.value)),
    location: withDates("location", (a) => field(a, "location")),
    heading: withDates("location", (a) => number(field(a, "heading"))),
    speed: withDates("location", (a) => number(field(a, "speed"))),
    incident: withDates("incident", (a) => text(field(a, "incidentId"))),
    assignment: withDates("assignment", (a) => text(field(a, "incidentId"))),
  };
}

export function toIncidentResponse(record: StateRecord, now: Micros): IncidentState {
  const { known: withDates, all } = datedAspects(record, now);
  const times = all("time:").toSorted(([a], [b]) => (eTimeOf(a)?.code ?? "z").localeCompare(eTimeOf(b)?.code ?? "z"));
  const units = new Set([...unitsOf(record)].toSorted());
  const readable = times.filter(([, aspect]) => aspect.unreadable === undefined);
  return {
    incident_id: record.id,
    status: withDates("status", (a) => text(a.value)),
    details: withDates("details", (a) => a.value),
    units: [...units].map((id) => ({
      unit_id: id,
      status: withDates(`unit:${id}`, (a) => text(field(a, "status"))),
      assigned: withDates(`assigned:${id}`, (a) => (a.unreadable === undefined ? a.value === true : null)),
    })),
    assignments: all("assigned:").map(([id, aspect]) => ({ unit_id: id, ...datesOf(aspect, now) })),
    timestamps: times.map(([column, aspect]) => ({
      column,
      etimes: eTimeOf(column)?.code ?? null,
      etimes_name: eTimeOf(column)?.name ?? null,
      timestamp: field(aspect, "timestamp"),
      location: field(aspect, "location"),
      ...datesOf(aspect, now),
    })),
    warnings: chronologyWarnings(
      new Map(readable.map(([column, aspect]) => [column, field(aspect, "timestamp")])),
      now / 1000,
    ),
    completion: withDates("completion", (a) =>
      a.unreadable === undefined
        ? {
            epcr_id: field(a, "epcrId"),
            transport_type: field(a, "transportType"),
            destination: field(a, "destination"),
          }
        : null,
    ),
  };
}
