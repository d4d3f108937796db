import { z } from "zod";
import { INCIDENT_STATUSES, toCadIncidentStatus } from "../vocabulary/cad-vocabulary.ts";
import { incidentId, incidentStatus, userId } from "../vocabulary/fields.ts";
import { incidentKey } from "../vocabulary/ordering-key.ts";
import { defineCommand } from "./command.ts";

export const incidentsStatus = defineCommand({
  name: "incidents/status",
  role: "dispatcher",
  summary: "Change an incident's status",
  description: "Taken in lower or upper case. The CAD gets lower case, which is what its billing compares with.",
  body: z.strictObject({ incident_id: incidentId, status: incidentStatus, user_id: userId }),
  keys: (b) => [incidentKey(b.incident_id)],
  emits: ["incident:status"],
  wire: (b) => ({
    event: "incident:status",
    payload: { incidentId: b.incident_id, status: toCadIncidentStatus(b.status), userId: b.user_id },
  }),
  payload: z.object({ incidentId, status: z.enum(INCIDENT_STATUSES), userId }),
  effect: "sets",
  echo: { event: "incident:status:updated", proves: "write", fields: ["incidentId", "status"], ignoreCase: ["status"] },
  examples: [
    {
      summary: "The patient is on the way",
      body: { incident_id: "INC-2026-004711", status: "TRANSPORTING", user_id: "dispatcher-7" },
    },
  ],
});
