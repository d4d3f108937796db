/** Reads a payload's own fields from the wire contract, independently of the bridge's code. */

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** UTC with microseconds, fixed width: comparing the texts compares the times. */
const ISSUED_AT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/;

/** Identifies the command in an emit; `issuedAt` is null if it is missing or unusable for ordering. */
export interface Mark {
  commandId: string;
  issuedAt: string | null;
}

/** The mark that the bridge adds to every object payload; undefined for emits of other clients. */
export function markOf(payload: unknown): Mark | undefined {
  const context = isRecord(payload) ? payload["context"] : undefined;
  if (!isRecord(context)) return undefined;
  const { commandId, issuedAt } = context;
  if (typeof commandId !== "string" || commandId === "") return undefined;
  return { commandId, issuedAt: typeof issuedAt === "string" && ISSUED_AT.test(issuedAt) ? issuedAt : null };
}

/** The unit and the incident an emit concerns (`unit:<id>`, `incident:<id>`); metrics are a key of their own. */
export function keysOf(event: string, payload: unknown): string[] {
  if (event === "metrics:updated") return ["metrics"];
  const room = /^(?:join|leave):(unit|incident)$/.exec(event);
  if (room) return isId(payload) ? [`${room[1]}:${payload}`] : [];
  if (!isRecord(payload)) return [];
  const { unitId } = payload;
  const incidentId = incidentIdOf(payload);
  return [...(isId(unitId) ? [`unit:${unitId}`] : []), ...(isId(incidentId) ? [`incident:${incidentId}`] : [])];
}

/** `incidentId ?? incident.incidentId`, as the crew app reads it. */
export function incidentIdOf(payload: Record<string, unknown>): unknown {
  const { incident } = payload;
  return payload["incidentId"] ?? (isRecord(incident) ? incident["incidentId"] : undefined);
}

const isId = (value: unknown): value is string | number => typeof value === "string" || typeof value === "number";
