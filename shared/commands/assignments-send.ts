import { z } from "zod";
import { requestObject } from "../vocabulary/request-object.ts";
import { unitId } from "../vocabulary/fields.ts";
import { incidentFields, toWireIncident, wireIncident } from "../vocabulary/incident.ts";
import { incidentKey, unitKey } from "../vocabulary/ordering-key.ts";
import { defineCommand } from "./command.ts";

export const assignmentsSend = defineCommand({
  name: "assignments/send",
  role: "dispatcher",
  summary: "Assign a unit to an incident",
  description:
    "Tells the unit's terminals that it is assigned. The CAD broadcasts it to the unit's room only, which the bridge joins first.",
  body: requestObject({ unit_id: unitId, ...incidentFields }),
  keys: (b) => [unitKey(b.unit_id), incidentKey(b.incident_id)],
  emits: ["assignment:sent"],
  wire: (b, { issuedAt }) => ({
    event: "assignment:sent",
    payload: {
      unitId: b.unit_id,
      incident: toWireIncident(b),
      timestamp: issuedAt,
    },
  }),
  payload: z.object({ unitId, incident: wireIncident, timestamp: z.iso.datetime() }),
  effect: "adds",
  echo: { event: "assignment:received", proves: "relay", fields: ["unitId", "incident.incidentId"] },
  needsRoom: (b) => `unit:${b.unit_id}`,
  ttlSeconds: 3600,
  examples: [
    {
      summary: "Medic 12 to a chest pain",
      body: {
        unit_id: "M12",
        incident_id: "INC-2026-004711",
        incident_type: "Chest Pain",
        address: "500 Block of Mission St",
        priority: 1,
        details: "Third floor, lift out of order",
        location: { lat: 37.7886, lng: -122.3988 },
      },
    },
  ],
});
