import { z } from "zod";
import { requestObject } from "../vocabulary/request-object.ts";
import { defineCommand } from "./command.ts";

export const metricsBroadcast = defineCommand({
  name: "metrics/broadcast",
  role: "admin",
  summary: "Broadcast metrics to the dashboards",
  description: "Only the newest metrics matter: ones that still wait are superseded by newer ones.",
  body: requestObject({
    metrics: z.record(z.string(), z.unknown()).meta({ description: "Any object. Goes along as it is." }),
  }),
  keys: () => ["metrics"],
  emits: ["metrics:updated"],
  wire: (b, { issuedAt }) => ({
    event: "metrics:updated",
    payload: { metrics: b.metrics, timestamp: issuedAt },
  }),
  payload: z.object({ metrics: z.record(z.string(), z.unknown()), timestamp: z.iso.datetime() }),
  effect: "adds",
  latestWins: true,
  examples: [{ summary: "Units by status", body: { metrics: { available: 12, enroute: 4, transporting: 3 } } }],
});
