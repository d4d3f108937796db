/**
 * What orders two messages: they share a unit, or an incident (Pub/Sub's term). The text after the first colon
 * is the id, whatever characters it holds. Metrics have no unit: they are ordered among themselves, and so is what names
 * neither a unit nor an incident.
 */
export type OrderingKey = `unit:${string}` | `incident:${string}` | "metrics" | "other";

export const unitKey = (id: string): OrderingKey => `unit:${id}`;
export const incidentKey = (id: string): OrderingKey => `incident:${id}`;

/** A Socket.io room of the CAD; it has the name of the ordering key it belongs to. */
export type Room = Exclude<OrderingKey, "metrics" | "other">;

/** A room's kind and id: `unit:E39` is the room of unit `E39`. */
export function parseRoom(room: Room): { kind: "unit" | "incident"; id: string } {
  const colon = room.indexOf(":");
  return { kind: room.slice(0, colon) as "unit" | "incident", id: room.slice(colon + 1) };
}
