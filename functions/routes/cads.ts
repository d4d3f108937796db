import { z } from "zod";
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
