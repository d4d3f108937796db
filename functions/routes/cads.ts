import { z } from "zod";
import { requestObject } from "../../shared/vocabulary/request-object.ts";
import { health } from "./health.ts";

/** One of several CADs, as GET /cads lists it. */
const cad = z.object({
  id: z.string(),
  path: z.string().meta({ description: "Where the API of this CAD alone is." }),
  status: health.shape.status,
  ready: z.boolean().nullable().meta({ description: "Whether commands can be sent to it; null if it is unknown." }),
  owns: z
    .union([z.literal("everything"), z.object({ units: z.array(z.string()), organisations: z.array(z.string()) })])
    .optional()
    .meta({ description: "As CADS_FILE says. For dispatchers and admins." }),
  leader: z
    .string()
    .nullable()
    .optional()
    .meta({ description: "The worker that holds its connection, as it last reported. For admins." }),
});
export const cadsAnswer = z.object({
  cads: z.array(cad).meta({ description: "Those whose organisation is the token's." }),
});
export type ListedCad = z.input<typeof cad>;

export const moveBody = requestObject({
  to: z.string().min(1).max(64).meta({ description: "The id of the CAD that the unit is to belong to." }),
  deadline_seconds: z
    .int()
    .min(1)
    .max(86_400)
    .optional()
    .meta({ description: "If the move still waits after this time, the unit is moved back." }),
});
export const moveAnswer = z.object({
  unit: z.string(),
  from: z.string(),
  to: z.string(),
  pending: z.boolean().meta({ description: "Whether commands still wait at the CAD that the unit left." }),
  waits_for: z.array(z.object({ cad: z.string(), commands: z.int().nullable() })).meta({
    description: "Where, and how many: at most 1000 are counted; null if that CAD is not in CADS_FILE any more.",
  }),
  since: z.string(),
  by: z.string().meta({ description: "The subject of the token, or `deadline`." }),
  back_at: z.string().nullable().meta({ description: "When it is moved back if it still waits." }),
});
