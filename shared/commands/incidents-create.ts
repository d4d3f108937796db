import { requestObject } from "../vocabulary/request-object.ts";
import { incidentFields, toWireIncident, wireIncident } from "../vocabulary/incident.ts";
import { incidentKey } from "../vocabulary/ordering-key.ts";
import { defineCommand } from "./command.ts";

export const incidentsCreate = defineCommand({
  name: "incidents",
  role: "dispatcher",
  summary: "Create an incident",
  description: "The CAD announces it to everybody as `incident:new`.",
  body: requestObject(incidentFields),
  keys: (b) => [incidentKey(b.incident_id)],
  emits: ["incident:created"],
  wire: (b) => ({ event: "incident:created", payload: toWireIncident(b) }),
  payload: wireIncident,
  effect: "adds",
  echo: { event: "incident:new", proves: "relay", fields: ["incidentId"], subjectAlias: "id" },
  examples: [
    {
      summary: "A chest pain",
      body: {
        incident_id: "INC-2026-004711",
        incident_type: "Chest Pain",
        address: "500 Block of Mission St",
        priority: 1,
        location: { type: "Point", coordinates: [-122.3988, 37.7886] },
      },
    },
  ],
});
