import { z } from "zod";
import { mayHoldPhi } from "../vocabulary/phi.ts";
import { incidentKey } from "../vocabulary/ordering-key.ts";
import { cadId, defineEvent, maybe } from "./event.ts";

/** A dispatch dashboard identifies the incident by `id`; the CAD's own relay keeps the bridge's `incidentId`. */
const payload = z
  .looseObject({
    incidentId: maybe(cadId),
    id: maybe(cadId),
    priority: maybe(z.unknown()),
    type: mayHoldPhi(maybe(z.unknown())),
    address: mayHoldPhi(maybe(z.unknown())),
    details: mayHoldPhi(maybe(z.unknown())),
    location: mayHoldPhi(maybe(z.unknown())),
  })
  .refine((p) => (p.incidentId ?? p.id) != null, { path: ["incidentId"], error: "neither incidentId nor id" })
  .describe("Identified by `incidentId`, or else by `id`.");
const idOf = (p: z.infer<typeof payload>): string => p.incidentId ?? p.id ?? "";

export const incidentNew = defineEvent({
  name: "incident:new",
  summary: "An incident was created",
  payload,
  keys: (p) => [incidentKey(idOf(p))],
  changes: (p) => [{ about: `incident:${idOf(p)}`, aspect: "details", value: { ...p, incidentId: idOf(p) } }],
  examples: [
    {
      incidentId: "INC-2026-004711",
      type: "Chest Pain",
      address: "500 Block of Mission St",
      priority: 1,
    },
    { id: "INC-2026-004712", type: "Fall", priority: 3 },
  ],
});
