/**
 * Two messages that share an ordering key (Pub/Sub's term) keep their order. The text after the first colon is the id and may
 * contain any characters. Metrics have no unit: they are ordered among themselves, as is what has no unit or incident.
 */
export type OrderingKey = `unit:${string}` | `incident:${string}` | "metrics" | "other";

export const unitKey = (id: string): OrderingKey => `unit:${id}`;
export const incidentKey = (id: string): OrderingKey => `incident:${id}`;

/** A Socket.io room of the CAD; named like its ordering key. */
export type Room = Exclude<OrderingKey, "metrics" | "other">;

/** A room's kind and id: `unit:E39` is the room of unit `E39`. */
export function parseRoom(room: Room): { kind: "unit" | "incident"; id: string } {
  const colon = room.indexOf(":");
  return { kind: room.slice(0, colon) as "unit" | "incident", id: room.slice(colon + 1) };
}
