import { z } from "zod";
import { incidentKey } from "../vocabulary/ordering-key.ts";
import { cadId, defineEvent } from "./event.ts";

export const incidentStatusUpdated = defineEvent({
  name: "incident:status:updated",
  summary: "An incident's new status",
  payload: z.looseObject({ incidentId: cadId, status: z.string() }),
  keys: (p) => [incidentKey(p.incidentId)],
  changes: (p) => [{ about: `incident:${p.incidentId}`, aspect: "status", value: p.status }],
  examples: [{ incidentId: "INC-2026-004711", status: "TRANSPORTING" }],
});
