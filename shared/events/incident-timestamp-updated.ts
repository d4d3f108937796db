import { z } from "zod";
import { mayHoldPhi } from "../vocabulary/phi.ts";
import { incidentKey } from "../vocabulary/ordering-key.ts";
import { cadId, defineEvent, maybe } from "./event.ts";

export const incidentTimestampUpdated = defineEvent({
  name: "incident:timestamp:updated",
  summary: "One of an incident's times",
  payload: z.looseObject({
    incidentId: cadId,
    field: z.string(),
    timestamp: z.string(),
    location: mayHoldPhi(maybe(z.unknown())),
  }),
  keys: (p) => [incidentKey(p.incidentId)],
  changes: (p) => [
    {
      about: `incident:${p.incidentId}`,
      aspect: `time:${p.field}`,
      value: { timestamp: p.timestamp, location: p.location ?? null },
    },
  ],
  examples: [
    {
      incidentId: "INC-2026-004711",
      field: "time_at_facility",
      timestamp: "2026-01-31T22:05:00Z",
      location: null,
    },
  ],
});
