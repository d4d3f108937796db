/** The load of the bench: statuses of a fleet, one unit after another; every command changes its unit's status. */
export const FLEET = 200;
const STATUSES = ["dispatched", "enroute", "onscene", "transport", "hospital", "available"] as const;

export interface StatusBody {
  unit_id: string;
  status: (typeof STATUSES)[number];
  incident_id?: string;
}

/**
 * The body of command number `n`.
 * @param keys 1: a unit; 2: also an incident, which two units share
 */
export function statusBody(n: number, keys: 1 | 2, fleet = FLEET): StatusBody {
  const unit = n % fleet;
  const status = STATUSES[Math.floor(n / fleet) % STATUSES.length] ?? "available";
  const body = { unit_id: `M${unit}`, status };
  return keys === 1 ? body : { ...body, incident_id: `INC-2026-${unit % Math.ceil(fleet / 2)}` };
}
