import type { CadTimeColumn } from "./cad-vocabulary.ts";

/** A time of NEMSIS 3.5.1's section eTimes. */
export interface ETime {
  code: `eTimes.${string}`;
  name: string;
}

/**
 * The CAD's time columns as NEMSIS times. The CAD has one column for "back in service" and "call completed" (eTimes.16): it
 * maps to the first, which NEMSIS requires in every report.
 */
export const ETIMES = {
  time_incident_created: { code: "eTimes.01", name: "PSAP Call" },
  time_unit_assigned: { code: "eTimes.03", name: "Unit Notified by Dispatch" },
  time_en_route: { code: "eTimes.05", name: "Unit En Route" },
  time_at_facility: { code: "eTimes.06", name: "Unit Arrived on Scene" },
  time_transporting: { code: "eTimes.09", name: "Unit Left Scene" },
  time_arrived_destination: { code: "eTimes.11", name: "Patient Arrived at Destination" },
  time_completed: { code: "eTimes.13", name: "Unit Back in Service" },
} as const satisfies Record<CadTimeColumn, ETime>;

const byColumn: ReadonlyMap<string, ETime> = new Map(Object.entries(ETIMES));

/** undefined for a column without a NEMSIS time. */
export const eTimeOf = (column: string): ETime | undefined => byColumn.get(column);
