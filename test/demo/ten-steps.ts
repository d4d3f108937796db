import { commandNamed } from "../../shared/commands/table.ts";
import type { Role } from "../../shared/roles.ts";

/** A call from dispatch to back in service, as the services of an EMS platform tell it to the bridge. */
export interface Step {
  what: string;
  command: string;
  body: Record<string, unknown>;
}

const UNIT = "M12";
const PLACE = { lat: 37.7886, lng: -122.3988 };

/** The ten steps; `incident` is a new one for every run. */
export function tenSteps(incident: string, now: Date): Step[] {
  const call = {
    incident_id: incident,
    incident_type: "Chest Pain",
    address: "500 Block of Mission St",
    priority: 1,
    location: PLACE,
  };
  const status = (what: string, value: string): Step => ({
    what,
    command: "units/status",
    body: { unit_id: UNIT, status: value, incident_id: incident },
  });
  return [
    { what: "incident created", command: "incidents", body: call },
    { what: `${UNIT} assigned`, command: "assignments/send", body: { unit_id: UNIT, ...call } },
    status("en route", "enroute"),
    {
      what: "position on the way",
      command: "units/location",
      body: { unit_id: UNIT, latitude: 37.7841, longitude: -122.4076, heading: 92.5, speed: 54 },
    },
    {
      what: "arrival time",
      command: "incidents/timestamp",
      body: { incident_id: incident, field: "onscene_at", timestamp: now.toISOString(), source: "auto" },
    },
    status("on scene", "onscene"),
    status("transporting", "transport"),
    status("at the hospital", "hospital"),
    {
      what: "transport completed",
      command: "transport/completed",
      body: {
        incident_id: incident,
        epcr_id: `EPCR-${incident}`,
        transport_type: "ALS",
        destination: "General Hospital",
      },
    },
    status("back in service", "available"),
  ];
}

/** Whose token a step takes. */
export function roleOf(step: Step): Role {
  const command = commandNamed(step.command);
  if (command === undefined) throw new TypeError(`there is no command ${step.command}`);
  return command.role;
}

/** False for an event that a CAD which does not ack never shows to have handled: `received` is all there is. */
export const hasEcho = (step: Step): boolean => commandNamed(step.command)?.echo !== undefined;
