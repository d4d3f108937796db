import { z } from "zod";
import { requestObject } from "../vocabulary/request-object.ts";
import { heading, latitude, longitude, point, speed, unitId, wirePoint } from "../vocabulary/fields.ts";
import { unitKey } from "../vocabulary/ordering-key.ts";
import { toMetresPerSecond } from "../vocabulary/cad-vocabulary.ts";
import { defineCommand } from "./command.ts";

export const unitsLocation = defineCommand({
  name: "units/location",
  role: "crew",
  summary: "Report a unit's position",
  description:
    "Only the newest position matters: one that still waits right before a newer one of the same unit is superseded by it.",
  body: requestObject({
    unit_id: unitId,
    latitude,
    longitude,
    heading: heading.optional(),
    speed: speed.optional(),
  }),
  keys: (b) => [unitKey(b.unit_id)],
  emits: ["unit:location"],
  wire: (b) => ({
    event: "unit:location",
    payload: {
      unitId: b.unit_id,
      location: point(b.longitude, b.latitude),
      heading: b.heading,
      speed: b.speed === undefined ? undefined : toMetresPerSecond(b.speed),
    },
  }),
  payload: z.object({
    unitId,
    location: wirePoint,
    heading: heading.optional(),
    speed: z.number().min(0).optional().meta({ description: "m/s" }),
  }),
  effect: "sets",
  echo: { event: "unit:location:updated", proves: "write", fields: ["unitId", "location", "heading", "speed"] },
  latestWins: true,
  ttlSeconds: 60,
  examples: [
    {
      summary: "On the way, heading east",
      body: { unit_id: "M12", latitude: 37.7841, longitude: -122.4076, heading: 92.5, speed: 54 },
    },
    { summary: "Standing", body: { unit_id: "M12", latitude: 37.7886, longitude: -122.3988 } },
  ],
});
