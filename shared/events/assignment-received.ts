import { z } from "zod";
import { mayHoldPhi } from "../vocabulary/phi.ts";
import { incidentKey, unitKey } from "../vocabulary/ordering-key.ts";
import { cadId, defineEvent, maybe } from "./event.ts";

export const assignmentReceived = defineEvent({
  name: "assignment:received",
  summary: "A unit was assigned; reaches only those in the unit's room",
  payload: z.looseObject({
    unitId: cadId,
    incidentId: maybe(cadId),
    incident: maybe(
      z.looseObject({
        incidentId: maybe(cadId),
        priority: maybe(z.unknown()),
        type: mayHoldPhi(maybe(z.unknown())),
        address: mayHoldPhi(maybe(z.unknown())),
        details: mayHoldPhi(maybe(z.unknown())),
        location: mayHoldPhi(maybe(z.unknown())),
      }),
    ),
    timestamp: maybe(z.string()),
  }),
  keys: (p) => {
    const incident = p.incidentId ?? p.incident?.incidentId;
    return incident == null ? [unitKey(p.unitId)] : [unitKey(p.unitId), incidentKey(incident)];
  },
  changes: (p) => {
    const incident = p.incidentId ?? p.incident?.incidentId;
    if (incident == null) return [];
    return [
      { about: `unit:${p.unitId}`, aspect: "assignment", value: { incidentId: incident } },
      { about: `incident:${incident}`, aspect: `assigned:${p.unitId}`, value: true },
    ];
  },
  occurred: (p) => p.timestamp,
  examples: [
    {
      unitId: "M12",
      incident: { incidentId: "INC-2026-004711", type: "Chest Pain", priority: 1 },
      timestamp: "2026-01-31T22:00:12.000Z",
    },
    { unitId: "M12", incident: { type: "Stand by" }, timestamp: "2026-01-31T22:00:12.000Z" },
  ],
});
