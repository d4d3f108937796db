import { commandNamed } from "../../shared/commands/table.ts";
import type { Role } from "../../shared/vocabulary/roles.ts";
import type { Service } from "./services.ts";

/** A call from dispatch to back in service, as the services of an EMS platform send it to the bridge. */
export interface Step {
  what: string;
  command: string;
  body: Record<string, unknown>;
  /** The CAD event that follows it. */
  event: string;
  /** The expected state afterwards: dotted paths into the answers of GET /units/ID and /incidents/ID. */
  known: Readonly<Record<string, unknown>>;
  /** The services that should receive it under the default rules. */
  services: readonly Service[];
}

export const UNIT = "M12";
const PLACE = { lat: 37.7886, lng: -122.3988 };
const COORDINATES = [PLACE.lng, PLACE.lat];

/** The ten steps; `incident` is new for every run. */
export function tenSteps(incident: string, now: Date): Step[] {
  const call = {
    incident_id: incident,
    incident_type: "Chest Pain",
    address: "500 Block of Mission St",
    priority: 1,
    location: PLACE,
  };
  const epcr = `EPCR-${incident}`;
  const status = (what: string, value: string): Step => ({
    what,
    command: "units/status",
    body: { unit_id: UNIT, status: value, incident_id: incident },
    event: "unit:status:updated",
    known: {
      "unit.status.value": value,
      "unit.incident.value": incident,
      [`incident.units.${UNIT}.status.value`]: value,
    },
    services: [],
  });
  return [
    {
      what: "incident created",
      command: "incidents",
      body: call,
      event: "incident:new",
      known: {
        "incident.details.value.type": "Chest Pain",
        "incident.details.value.location.coordinates": COORDINATES,
      },
      services: ["epcr"],
    },
    {
      what: `${UNIT} assigned`,
      command: "assignments/send",
      body: { unit_id: UNIT, ...call },
      event: "assignment:received",
      known: { "unit.assignment.value": incident, [`incident.units.${UNIT}.assigned.value`]: true },
      services: [],
    },
    status("en route", "enroute"),
    {
      what: "position on the way",
      command: "units/location",
      body: { unit_id: UNIT, latitude: 37.7841, longitude: -122.4076, heading: 92.5, speed: 54 },
      event: "unit:location:updated",
      known: { "unit.location.value.coordinates": [-122.4076, 37.7841], "unit.speed.value": 15 },
      services: [],
    },
    {
      what: "arrival time",
      command: "incidents/timestamp",
      body: { incident_id: incident, field: "onscene_at", timestamp: now.toISOString(), source: "auto" },
      event: "incident:timestamp:updated",
      known: { "incident.timestamps.time_at_facility.timestamp": now.toISOString() },
      services: ["epcr"],
    },
    status("on scene", "onscene"),
    status("transporting", "transport"),
    status("at the hospital", "hospital"),
    {
      what: "transport completed",
      command: "transport/completed",
      body: { incident_id: incident, epcr_id: epcr, transport_type: "ALS", destination: "General Hospital" },
      event: "transport:completed",
      known: { "incident.completion.value.epcr_id": epcr },
      services: ["billing", "epcr"],
    },
    status("back in service", "available"),
  ];
}

/** The role whose token a step uses. */
export function roleOf(step: Step): Role {
  const command = commandNamed(step.command);
  if (command === undefined) throw new TypeError(`unknown command ${step.command}`);
  return command.role;
}

/** False for an event whose handling only an ack could prove: without one, `received` is the final state. */
export const hasEcho = (step: Step): boolean => commandNamed(step.command)?.echo !== undefined;
