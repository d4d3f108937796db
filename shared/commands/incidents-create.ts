import { z } from "zod";
import { address, details, incidentId, incidentType, location, priority } from "../fields.ts";
import { incidentKey } from "../ordering-key.ts";
import { defineCommand } from "./command.ts";

export const incidentsCreate = defineCommand({
  name: "incidents",
  role: "dispatcher",
  summary: "Create an incident",
  description: "The CAD announces it to everybody as `incident:new`.",
  body: z.strictObject({
    incident_id: incidentId,
    incident_type: incidentType,
    address,
    priority,
    details: details.optional(),
    location: location.optional(),
  }),
  keys: (b) => [incidentKey(b.incident_id)],
  emits: ["incident:created"],
  wire: (b) => ({
    event: "incident:created",
    payload: {
      incidentId: b.incident_id,
      type: b.incident_type,
      address: b.address,
      priority: b.priority,
      details: b.details,
      location: b.location,
    },
  }),
  echo: { event: "incident:new", fields: ["incidentId"] },
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
