/** What the bench sends: unit statuses of a fleet, one unit after the other, and every unit's status always changes. */
export const FLEET = 200;
const STATUSES = ["dispatched", "enroute", "onscene", "transport", "hospital", "available"] as const;

export interface StatusBody {
  unit_id: string;
  status: (typeof STATUSES)[number];
  incident_id?: string;
}

/**
 * The body of command number `n`.
 * @param keys 1: it is about a unit; 2: about an incident too, at which two units work
 */
export function statusBody(n: number, keys: 1 | 2, fleet = FLEET): StatusBody {
  const unit = n % fleet;
  const status = STATUSES[Math.floor(n / fleet) % STATUSES.length] ?? "available";
  const body = { unit_id: `M${unit}`, status };
  return keys === 1 ? body : { ...body, incident_id: `INC-2026-${unit % Math.ceil(fleet / 2)}` };
}
