import { incidentIdOf, isRecord } from "./payload.ts";

/**
 * How the CAD handles each event, written by hand from its wire contract. It is the reference that the bridge is
 * checked against, so it must not be derived from the bridge's own command table.
 */
export interface CommandRow {
  echo: string;
  /** The fields that survive in the real CAD's echo, or all of them. */
  keeps: readonly string[] | "everything";
  /** The echo goes to the room `unit:<unitId>` only. */
  toUnitRoom?: true;
  /** The real CAD has no handler for this event. */
  modernOnly?: true;
  /** The real CAD relays it to its clients, without using its database and without storing it. */
  relay?: true;
  /** A null payload crashes the real CAD's process. */
  nullIsDeadly?: true;
}

const rows: Record<string, CommandRow> = {
  "unit:location": { echo: "unit:location:updated", keeps: ["unitId", "location", "heading", "speed"] },
  "unit:status": { echo: "unit:status:updated", keeps: ["unitId", "status", "incidentId"] },
  "incident:status": { echo: "incident:status:updated", keeps: ["incidentId", "status"] },
  "incident:timestamp": {
    echo: "incident:timestamp:updated",
    keeps: ["incidentId", "field", "timestamp", "location"],
  },
  "incident:created": { echo: "incident:new", keeps: "everything", relay: true },
  "assignment:sent": {
    echo: "assignment:received",
    keeps: "everything",
    toUnitRoom: true,
    nullIsDeadly: true,
    relay: true,
  },
  "transport:completed": { echo: "transport:completed", keeps: "everything", modernOnly: true },
  "metrics:updated": { echo: "metrics:updated", keeps: "everything", modernOnly: true },
};
export const COMMAND_EVENTS: ReadonlyMap<string, CommandRow> = new Map(Object.entries(rows));

/** These take a bare id and broadcast nothing. */
export const ROOM_EVENTS: ReadonlyMap<string, { action: "join" | "leave"; kind: "unit" | "incident" }> = new Map([
  ["join:unit", { action: "join", kind: "unit" }],
  ["leave:unit", { action: "leave", kind: "unit" }],
  ["join:incident", { action: "join", kind: "incident" }],
  ["leave:incident", { action: "leave", kind: "incident" }],
]);

export const AUTHENTICATE = "fastapi:authenticate";

const TIME_COLUMNS = new Set([
  "time_incident_created",
  "time_unit_assigned",
  "time_en_route",
  "time_at_facility",
  "time_transporting",
  "time_arrived_destination",
  "time_completed",
]);
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const isUuid = (value: unknown): value is string => typeof value === "string" && UUID.test(value);

/**
 * Why the real CAD's database would reject it: an error on its console. Ids may be absent where the contract makes
 * them optional. Contains no values: they may be patient data.
 */
export function databaseError(
  event: string,
  payload: Record<string, unknown>,
  knowsIncident: (id: string) => boolean,
): string | undefined {
  const { unitId, field, timestamp } = payload;
  const incidentId = incidentIdOf(payload);
  if (unitId != null && !isUuid(unitId)) return "unitId is not a UUID";
  if (incidentId != null) {
    if (!isUuid(incidentId)) return "incidentId is not a UUID";
    if (event !== "incident:created" && !knowsIncident(incidentId)) return "no such incident";
  }
  if (event !== "incident:timestamp") return undefined;
  if (typeof field !== "string" || !TIME_COLUMNS.has(field)) return "no such time column";
  if (typeof timestamp !== "string" || Number.isNaN(Date.parse(timestamp))) return "the timestamp is invalid";
  return undefined;
}

/** The echo's payload: the fields that the row keeps, or all of them. */
export function echoOf(row: CommandRow, payload: unknown, keepsExtraKeys: boolean): unknown {
  if (row.keeps === "everything" || keepsExtraKeys || !isRecord(payload)) return payload;
  return Object.fromEntries(row.keeps.map((key) => [key, payload[key]]));
}
