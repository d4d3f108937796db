import { z } from "zod";
import { unitKey } from "../vocabulary/ordering-key.ts";
import { cadId, defineEvent, maybe } from "./event.ts";

export const unitLocationUpdated = defineEvent({
  name: "unit:location:updated",
  summary: "A unit's position, from its terminal or from the bridge",
  payload: z.looseObject({
    unitId: cadId,
    location: z.unknown(),
    heading: maybe(z.number()),
    speed: maybe(z.number()).describe("m/s"),
  }),
  keys: (p) => [unitKey(p.unitId)],
  changes: (p) => [
    {
      about: `unit:${p.unitId}`,
      aspect: "location",
      value: { location: p.location, heading: p.heading ?? null, speed: p.speed ?? null },
    },
  ],
  examples: [
    {
      unitId: "M12",
      location: { type: "Point", coordinates: [-122.4076, 37.7841] },
      heading: 92.5,
      speed: 15,
    },
  ],
});
