import { z } from "zod";
import { defineEvent } from "./event.ts";

export const metricsUpdatedEvent = defineEvent({
  name: "metrics:updated",
  summary: "Metrics for the dashboards; only from a CAD that has it",
  payload: z.looseObject({ metrics: z.record(z.string(), z.unknown()) }),
  keys: () => ["metrics"],
  changes: () => [],
  examples: [{ metrics: { available: 12, enroute: 4 } }],
});
