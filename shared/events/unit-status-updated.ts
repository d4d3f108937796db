import { z } from "zod";
import { incidentKey, unitKey } from "../vocabulary/ordering-key.ts";
import { cadId, defineEvent, maybe } from "./event.ts";

export const unitStatusUpdated = defineEvent({
  name: "unit:status:updated",
  summary: "A unit's new status",
  payload: z.looseObject({ unitId: cadId, status: z.string(), incidentId: maybe(cadId) }),
  keys: (p) => (p.incidentId == null ? [unitKey(p.unitId)] : [unitKey(p.unitId), incidentKey(p.incidentId)]),
  changes: (p) => {
    const status = { about: `unit:${p.unitId}` as const, aspect: "status", value: p.status };
    if (p.incidentId == null) return [status];
    const { unitId, incidentId } = p;
    return [
      status,
      { about: `unit:${unitId}`, aspect: "incident", value: { incidentId } },
      { about: `incident:${incidentId}`, aspect: `unit:${unitId}`, value: { status: p.status } },
    ];
  },
  examples: [
    { unitId: "M12", status: "enroute", incidentId: "INC-2026-004711" },
    { unitId: "M12", status: "available" },
  ],
});
