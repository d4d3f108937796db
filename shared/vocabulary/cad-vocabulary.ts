/** The times and units of measure of the HTTP API and their form on the CAD's wire. Priorities and statuses are in words.ts. */

/** The CAD's time columns. A `field` becomes a column name there, so nothing else may pass. */
export const CAD_TIME_COLUMNS = [
  "time_incident_created",
  "time_unit_assigned",
  "time_en_route",
  "time_at_facility",
  "time_transporting",
  "time_arrived_destination",
  "time_completed",
] as const;
export type CadTimeColumn = (typeof CAD_TIME_COLUMNS)[number];

/** The API's own names for those times. The CAD has one column for "back in service" and "call completed". */
export const TIMESTAMP_FIELDS = {
  dispatched_at: "time_unit_assigned",
  enroute_at: "time_en_route",
  onscene_at: "time_at_facility",
  transport_at: "time_transporting",
  hospital_at: "time_arrived_destination",
  available_at: "time_completed",
  completed_at: "time_completed",
} as const satisfies Record<string, CadTimeColumn>;

export const TIMESTAMP_FIELD_NAMES = [
  ...(Object.keys(TIMESTAMP_FIELDS) as (keyof typeof TIMESTAMP_FIELDS)[]),
  ...CAD_TIME_COLUMNS,
] as const;

/** The CAD's column for a field of the API; the CAD's own columns map to themselves. */
export function toCadColumn(field: (typeof TIMESTAMP_FIELD_NAMES)[number]): CadTimeColumn {
  return field in TIMESTAMP_FIELDS
    ? TIMESTAMP_FIELDS[field as keyof typeof TIMESTAMP_FIELDS]
    : (field as CadTimeColumn);
}

/**
 * Speed on the CAD's wire is in m/s, because the vehicles' terminals send it so in the same event; the HTTP API takes km/h.
 * Rounded to 0.01 m/s, finer than any GPS resolves.
 */
export function toMetresPerSecond(kilometresPerHour: number): number {
  return Math.round((kilometresPerHour / 3.6) * 100) / 100;
}
