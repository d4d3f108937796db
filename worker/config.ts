import { z } from "zod";
import { type Config, env, sharedEnv } from "../shared/config.ts";
import { auditKeyList } from "../shared/audit/chain.ts";
import { DEAD_LETTER_DAYS } from "../shared/outbox/outbox.ts";
import { sealingEnv } from "../shared/sealing.ts";
import { CONFIRM_MODES } from "./cad/confirm.ts";

/** Six years: how long 45 CFR 164.316(b)(2)(i) has such documentation kept. */
const AUDIT_DAYS = 2192;

/** The worker's environment. */
export const workerEnv = z.object({
  ...sharedEnv,
  ...sealingEnv,
  CAD_BACKEND_URL: z
    .url({ protocol: /^https?$/, error: "must be an http:// or https:// URL" })
    .describe("The CAD's Socket.io server. A path is taken as the namespace."),
  CAD_BACKEND_AUTH_TOKEN: env.note(
    z
      .string()
      .trim()
      .min(1, "must not be empty: the CAD would accept the bridge as an unauthenticated client")
      .describe("The token for the handshake and for fastapi:authenticate."),
    { secret: true },
  ),
  CAD_CONFIRM: z
    .enum(CONFIRM_MODES)
    .default("auto")
    .describe("What confirms a delivery: auto (ack or echo, whichever comes first), ack, echo or fence."),
  CAD_CONFIRM_TIMEOUT_MS: env.milliseconds
    .max(60_000)
    .default(5000)
    .describe("How long an ack or an echo may take, ms."),
  CAD_AUTH_WAIT_MS: env.milliseconds
    .max(30_000)
    .default(3000)
    .describe("A CAD that does not answer fastapi:authenticate for so long counts as ready, ms."),
  DEAD_LETTER_DAYS: z.coerce
    .number()
    .int()
    .min(2)
    .max(3650)
    .default(DEAD_LETTER_DAYS)
    .describe("How long a dead letter is kept, days."),
  AUDIT_DAYS: z.coerce
    .number()
    .int()
    .min(1)
    .max(36_500)
    .default(AUDIT_DAYS)
    .describe("How long an entry of the audit trail is kept, days: six years."),
  AUDIT_KEY: env.note(auditKeyList.optional(), { secret: true }),
  JOURNAL_DAYS: z.coerce
    .number()
    .min(1)
    .max(3650)
    .default(7)
    .describe("How long the CAD's events are kept, days: so far back a service can catch up."),
  JOURNAL_MAX: z.coerce
    .number()
    .int()
    .min(1000)
    .default(1_000_000)
    .describe("How many of the CAD's events are kept at most."),
  WORKER_PORT: env.port.default(9464).describe("The worker's own /health."),
  WORKER_HOST: z.string().min(1).default("127.0.0.1").describe("The address that the worker's own /health listens on."),
  WORKER_INSTANCE: z
    .string()
    .regex(/^[\w.-]{1,64}$/, "must be letters, digits, dots, dashes or underscores")
    .optional()
    .describe(
      "This worker's name. One that is started again under its name takes the CAD back at once; no two may share one. Random if not set.",
    ),
});
export type WorkerConfig = Config<typeof workerEnv>;
