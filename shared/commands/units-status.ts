import { z } from "zod";
import { requestObject } from "../vocabulary/request-object.ts";
import { incidentId, unitId, unitStatus } from "../vocabulary/fields.ts";
import { incidentKey, unitKey } from "../vocabulary/ordering-key.ts";
import { defineCommand } from "./command.ts";

export const unitsStatus = defineCommand({
  name: "units/status",
  role: "crew",
  summary: "Report a unit's status",
  description: "With an `incident_id` it also keeps its place among the incident's commands.",
  body: requestObject({ unit_id: unitId, status: unitStatus, incident_id: incidentId.optional() }),
  keys: (b) => (b.incident_id === undefined ? [unitKey(b.unit_id)] : [unitKey(b.unit_id), incidentKey(b.incident_id)]),
  emits: ["unit:status"],
  wire: (b) => ({
    event: "unit:status",
    payload: { unitId: b.unit_id, status: b.status, incidentId: b.incident_id },
  }),
  payload: z.object({ unitId, status: unitStatus, incidentId: incidentId.optional() }),
  effect: "sets",
  echo: { event: "unit:status:updated", proves: "write", fields: ["unitId", "status", "incidentId"] },
  examples: [
    {
      summary: "En route to an incident",
      body: { unit_id: "M12", status: "enroute", incident_id: "INC-2026-004711" },
    },
    { summary: "Back in service", body: { unit_id: "M12", status: "available" } },
  ],
});
