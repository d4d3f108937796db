import type { Row } from "./csv.ts";
import { localTime, type Instant } from "./local-time.ts";

const ZONE = "America/Los_Angeles";

/**
 * SFFD's priority as the API's 1 (most urgent) to 5. E is the highest determinant (such as a cardiac arrest), code 3 an
 * emergency with lights and siren, code 2 a call without, code 1 routine.
 */
export const PRIORITIES: Readonly<Record<string, number>> = { E: 1, "3": 2, "2": 3, "1": 4 };

/** The steps of a response, in natural order; each has a time in the row, and becomes a status and a timestamp. */
export const TRANSITIONS = [
  { column: "dispatch_dttm", status: undefined, field: "dispatched_at" },
  { column: "response_dttm", status: "enroute", field: "enroute_at" },
  { column: "on_scene_dttm", status: "onscene", field: "onscene_at" },
  { column: "transport_dttm", status: "transport", field: "transport_at" },
  { column: "hospital_dttm", status: "hospital", field: "hospital_at" },
  { column: "available_dttm", status: "available", field: "available_at" },
] as const;
type Column = (typeof TRANSITIONS)[number]["column"];

export const REQUIRED_COLUMNS = [
  ...["unit_id", "incident_number", "call_number", "call_type", "address", "final_priority", "als_unit"],
  ...["received_dttm", "entry_dttm", ...TRANSITIONS.map((t) => t.column)],
];

/** DataSF called it Location in its older downloads, and case_location since. */
const PLACES = ["case_location", "location"];

/** A parsed row: one unit's response to one incident. */
export interface Response {
  unit: string;
  incident: string;
  call: string;
  type: string;
  address: string;
  priority: number;
  transportType: string;
  place: { lat: number; lng: number } | undefined;
  received: Instant | undefined;
  times: ReadonlyMap<Column, Instant>;
}

/** Reports every wrong field, not only the first. */
export function readRow(row: Row): Response | { problems: string[] } {
  const problems: string[] = [];
  const text = (column: string) => {
    const value = row[column] ?? "";
    if (value === "") problems.push(`${column} is blank`);
    return value;
  };
  const attempt = <T>(column: string, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push(`${column}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  };
  /** In the hour that the clocks repeat, a time is assumed to follow the previous one in the row. */
  let last = -Infinity;
  const time = (column: string) => {
    const value = row[column] ?? "";
    const read = value === "" ? undefined : attempt(column, () => localTime(value, ZONE, last));
    last = read?.at ?? last;
    return read;
  };

  const received = time("received_dttm");
  const entered = time("entry_dttm");
  const times = new Map<Column, Instant>();
  for (const { column } of TRANSITIONS) {
    const read = time(column);
    if (read !== undefined) times.set(column, read);
  }
  if (times.size === 0 && problems.length === 0) problems.push("no status time is given");
  const priority = PRIORITIES[(row["final_priority"] ?? "").toUpperCase()];
  if (priority === undefined)
    problems.push(
      `final_priority "${row["final_priority"] ?? ""}" is not one of ${Object.keys(PRIORITIES).join(", ")}`,
    );
  const als = (row["als_unit"] ?? "").toLowerCase();
  if (times.has("hospital_dttm") && als !== "true" && als !== "false")
    problems.push(`als_unit "${row["als_unit"] ?? ""}" is neither true nor false`);
  const response = {
    unit: text("unit_id"),
    incident: text("incident_number"),
    call: text("call_number"),
    type: text("call_type"),
    address: text("address"),
    place: attempt("location", () =>
      readPlace(PLACES.map((name) => row[name] ?? "").find((value) => value !== "") ?? ""),
    ),
    transportType: als === "true" ? "ALS" : "BLS",
    received: received ?? entered,
    times,
  };
  return priority === undefined || problems.length > 0 ? { problems } : { ...response, priority };
}

/** "(37.78, -122.41)", or "POINT (-122.41 37.78)" as DataSF writes it today; blank if unknown. */
function readPlace(text: string): Response["place"] {
  if (text === "") return undefined;
  const number = String.raw`(-?\d+(?:\.\d+)?)`;
  const pair = new RegExp(String.raw`^\(${number},\s*${number}\)$`).exec(text);
  const point = new RegExp(String.raw`^POINT \(${number} ${number}\)$`, "i").exec(text);
  const [lat, lng] = pair ? [Number(pair[1]), Number(pair[2])] : [Number(point?.[2]), Number(point?.[1])];
  if (!(Math.abs(lat) <= 90 && Math.abs(lng) <= 180)) throw new Error(`"${text}" is not a place like (37.78, -122.41)`);
  return { lat, lng };
}
