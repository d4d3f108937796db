import { z } from "zod";
import { requestObject } from "../vocabulary/request-object.ts";
import { CAD_INCIDENT_STATUSES, toCadIncidentStatus } from "../vocabulary/words.ts";
import { incidentId, incidentStatus, userId } from "../vocabulary/fields.ts";
import { incidentKey } from "../vocabulary/ordering-key.ts";
import { defineCommand } from "./command.ts";

export const incidentsStatus = defineCommand({
  name: "incidents/status",
  role: "dispatcher",
  summary: "Change an incident's status",
  description:
    "Taken in any case. The CAD gets lower case, which is what its billing compares with. Without a `user_id` it gets the token's subject.",
  body: requestObject({ incident_id: incidentId, status: incidentStatus, user_id: userId.optional() }),
  keys: (b) => [incidentKey(b.incident_id)],
  emits: ["incident:status"],
  wire: (b, context) => ({
    event: "incident:status",
    payload: {
      incidentId: b.incident_id,
      status: toCadIncidentStatus(b.status),
      userId: b.user_id ?? context.userId,
    },
  }),
  payload: z.object({ incidentId, status: z.enum(CAD_INCIDENT_STATUSES), userId }),
  effect: "sets",
  echo: { event: "incident:status:updated", proves: "write", fields: ["incidentId", "status"], ignoreCase: ["status"] },
  examples: [
    {
      summary: "The patient is on the way",
      body: { incident_id: "INC-2026-004711", status: "TRANSPORTING", user_id: "dispatcher-7" },
    },
  ],
});
