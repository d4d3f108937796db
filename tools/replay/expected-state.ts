import { TIMESTAMP_FIELDS } from "../../shared/vocabulary/cad-vocabulary.ts";
import type { Known } from "./known.ts";
import { type Response, TRANSITIONS } from "./sffd-row.ts";

/** The final state of each unit and incident according to the rows of a day. Pure. */
export interface ExpectedState {
  units: ReadonlyMap<string, Known>;
  incidents: ReadonlyMap<string, Known>;
}

/** One occurrence and its sort key: time, then the natural order of a response, then the line in the file. */
interface Happened {
  order: readonly [at: number, rank: number, line: number];
  response: Response;
  status: string | undefined;
  column: string;
  iso: string;
}

/** @param completions whether the CAD broadcasts completed transports */
export function expectedState(
  rows: readonly { line: number; response: Response }[],
  completions: boolean,
): ExpectedState {
  const units = new Map<string, Record<string, unknown>>();
  const incidents = new Map<string, Record<string, unknown>>();
  for (const { response } of rows) {
    const { incident, type, address, priority } = response;
    // An incident is created from its first row.
    if (!incidents.has(incident))
      incidents.set(incident, {
        "details.value.type": type,
        "details.value.address": address,
        "details.value.priority": priority,
      });
  }
  for (const { response, status, column, iso } of rows.flatMap(happenings).toSorted(byOrder)) {
    const unit = units.get(response.unit) ?? {};
    units.set(response.unit, unit);
    const incident = incidents.get(response.incident) ?? {};
    incident[`timestamps.${column}.timestamp`] = iso;
    if (status === undefined) {
      unit["assignment.value"] = response.incident;
      incident[JSON.stringify(["units", response.unit, "assigned", "value"])] = true;
      continue;
    }
    unit["status.value"] = status;
    unit["incident.value"] = response.incident;
    incident[JSON.stringify(["units", response.unit, "status", "value"])] = status;
    if (status === "onscene" && response.place)
      unit["location.value"] = { type: "Point", coordinates: [response.place.lng, response.place.lat] };
    if (status === "hospital" && completions) {
      incident["completion.value.epcr_id"] = `${response.call}-${response.unit}`;
      incident["completion.value.transport_type"] = response.transportType;
    }
  }
  return { units, incidents };
}

const happenings = ({ line, response }: { line: number; response: Response }): Happened[] =>
  TRANSITIONS.flatMap(({ column, status, field }, rank) => {
    const time = response.times.get(column);
    if (time === undefined) return [];
    return [{ order: [time.at, rank, line], response, status, column: TIMESTAMP_FIELDS[field], iso: time.iso }];
  });

function byOrder(a: Happened, b: Happened): number {
  const [at, rank, line] = a.order;
  return at - b.order[0] || rank - b.order[1] || line - b.order[2];
}
