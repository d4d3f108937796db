import { z } from "zod";
import { mayHoldPhi } from "../vocabulary/phi.ts";
import { incidentKey } from "../vocabulary/ordering-key.ts";
import { cadId, defineEvent, maybe } from "./event.ts";

export const transportCompletedEvent = defineEvent({
  name: "transport:completed",
  summary: "A transport was completed; only from a CAD that has it",
  payload: z.looseObject({
    incidentId: cadId,
    epcrId: mayHoldPhi(maybe(cadId)),
    transportType: maybe(z.unknown()),
    destination: mayHoldPhi(maybe(z.unknown())),
    patientName: mayHoldPhi(maybe(z.unknown())),
    billingData: mayHoldPhi(maybe(z.unknown())),
    timestamp: maybe(z.string()),
  }),
  keys: (p) => [incidentKey(p.incidentId)],
  changes: (p) => [
    {
      about: `incident:${p.incidentId}`,
      aspect: "completion",
      value: { epcrId: p.epcrId ?? null, transportType: p.transportType ?? null, destination: p.destination ?? null },
    },
  ],
  occurred: (p) => p.timestamp,
  examples: [{ incidentId: "INC-2026-004711", epcrId: "EPCR-90210", transportType: "ALS" }],
});
