import { z } from "zod";
import { MAX_PATTERN } from "./pattern.ts";

/** What stands in the path `/cads/{cad}`, in logs, labels and names of keys. */
const id = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, "must be up to 40 lower-case letters, digits and dashes, a dash not first");
const text = z.string().min(1, "must not be empty").max(20_000);
const texts = z.record(z.string().min(1).max(200), z.string().max(4000));

const pattern = z
  .string()
  .min(1, "must not be empty")
  .max(MAX_PATTERN, `must have at most ${MAX_PATTERN} characters`)
  .refine((given) => !given.includes("**"), "must not hold two * in a row");
const EVERYTHING_OR = "must be `everything`, or an object of units and organisations";
const owns = z
  .strictObject({
    units: z.array(pattern).min(1).max(1000).optional(),
    organisations: z.array(z.string().min(1).max(200)).min(1).max(1000).optional(),
  })
  .refine(({ units, organisations }) => units ?? organisations, "must name units or organisations");

/** The largest number of CADs of one file: each has its own connections to Redis. */
const MAX_CADS = 200;

/** One CAD. What its members may hold is checked by the environment variables that they stand for: see worker/fleet/overlay.ts. */
export const cadEntry = z.strictObject({
  id,
  urls: z.array(text).min(1).max(10),
  token: text.optional(),
  token_env: text.optional(),
  token_file: text.optional(),
  owns: z.union([z.literal("everything", EVERYTHING_OR), owns], {
    error: EVERYTHING_OR,
  }),
  redis_prefix: z
    .string()
    .regex(/^[\w.-]{1,64}$/, "must be letters, digits, dots, dashes or underscores")
    .optional(),
  moved_from: text.optional(),
  path: text.optional(),
  headers: texts.optional(),
  query: texts.optional(),
  transports: z.array(text).min(1).max(2).optional(),
  tls: z.strictObject({ ca_file: text, cert_file: text, key_file: text }).partial().optional(),
  confirm: z
    .union([text, z.record(z.string(), text)], { error: "must be a mode, or an object of events and modes" })
    .optional(),
  routes_file: text.optional(),
  canary_unit: text.optional(),
  heartbeat_url: text.optional(),
});
/** A CAD as its file has it. */
export type CadEntry = z.infer<typeof cadEntry>;
export type Owns = CadEntry["owns"];

/** A file of CADs. */
export const cadsFile = z.strictObject({ cads: z.array(cadEntry).min(1, "must hold at least one CAD").max(MAX_CADS) });
