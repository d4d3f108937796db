import { z } from "zod";
import { incidentKey } from "../vocabulary/ordering-key.ts";
import { cadId, defineEvent } from "./event.ts";

export const incidentNew = defineEvent({
  name: "incident:new",
  summary: "An incident was created",
  payload: z.looseObject({ incidentId: cadId }),
  keys: (p) => [incidentKey(p.incidentId)],
  changes: (p) => [{ about: `incident:${p.incidentId}`, aspect: "details", value: p }],
  examples: [
    {
      incidentId: "INC-2026-004711",
      type: "Chest Pain",
      address: "500 Block of Mission St",
      priority: 1,
    },
  ],
});
