import { z } from "zod";
import { type Config, env, sharedEnv } from "../../shared/config/config.ts";
import { auditKeyList } from "../../shared/audit/chain.ts";
import { DEAD_LETTER_DAYS } from "../../shared/outbox/outbox.ts";
import { commands } from "../../shared/commands/table.ts";
import { sealingEnv } from "../../shared/sealing/open-sealer.ts";
import { tracingEnv } from "../../shared/tracing/env.ts";
import { unitId } from "../../shared/vocabulary/fields.ts";
import { confirmModesText } from "../cad/confirm-modes.ts";
import { endpointEnv } from "../cad/endpoint.ts";
import { isSecret, SECRET_FORM } from "../destinations/schema.ts";

const serviceUrl = (whose: string, secret: string) =>
  env.note(
    z
      .url({ protocol: /^https?$/, error: "must be an http:// or https:// URL" })
      .optional()
      .describe(`URL that receives the ${whose} service's events, by the default rules.`),
    { needs: secret },
  );
const webhookSecret = (whose: string, url: string) =>
  env.note(
    z
      .string()
      .transform((text) => text.trim().split(/[\s,]+/))
      .refine((secrets) => secrets.every(isSecret), SECRET_FORM)
      .optional()
      .describe(`Secret that signs the ${whose} service's events: \`whsec_…\`, or two of them during a rotation.`),
    { secret: true, needs: url },
  );

const withoutUser = (url: URL | null): boolean => !url || (url.username === "" && url.password === "");
const httpUrl = z
  .url({ protocol: /^https?$/, error: "must be an http:// or https:// URL" })
  .refine((text) => withoutUser(URL.parse(text)), "must not contain user or password: they would not be sent");

const cadUrl = httpUrl.refine(
  (text) => !URL.parse(text)?.search,
  "must not contain a query, which would not be sent: see CAD_QUERY",
);

/** Six years: how long 45 CFR 164.316(b)(2)(i) has such documentation kept. */
const AUDIT_DAYS = 2192;

const names = commands.map(({ name }) => name);
const commandNames = z
  .string()
  .transform((text) => text.split(/[\s,]+/).filter((name) => name !== ""))
  .refine((given) => given.every((name) => names.includes(name)), `must be a list of commands: ${names.join(", ")}`);

/** The worker's environment. */
export const workerEnv = z.object({
  ...sharedEnv,
  ...sealingEnv,
  ...tracingEnv,
  CAD_BACKEND_URL: cadUrl.describe("URL of the CAD's Socket.io server. A path is the namespace."),
  CAD_MORE_URLS: env.note(
    z
      .string()
      .transform((text) => text.trim().split(/\s+/))
      .pipe(z.array(cadUrl).max(9))
      .optional()
      .describe(
        "URLs of further nodes of the same CAD, separated by spaces: the node that answers fastest is used, and another one when it fails.",
      ),
    { needs: "CAD_ID" },
  ),
  CAD_BACKEND_AUTH_TOKEN: env.note(
    z
      .string()
      .trim()
      .min(1, "must not be empty: the CAD would accept the bridge as an unauthenticated client")
      .describe("Token for the handshake and for fastapi:authenticate."),
    { secret: true },
  ),
  CAD_ID: z
    .string()
    .regex(/^[\w.-]{1,64}$/, "must be letters, digits, dots, dashes or underscores")
    .optional()
    .describe(
      "This CAD's name, whatever its URL: the store in Redis belongs to it. Without one, it belongs to CAD_BACKEND_URL.",
    ),
  CAD_MOVED_FROM: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The CAD_ID or the URL under which the store knows this CAD, after it moved: a worker takes no store of another CAD.",
    ),
  ...endpointEnv,
  CAD_CONFIRM: confirmModesText
    .default("auto")
    .describe(
      "What confirms a delivery: `auto` (ack or echo, whichever comes first), `ack`, `echo` or `barrier` (receipt alone); with `event=mode` for events that differ, such as `auto,unit:status=barrier`.",
    ),
  CAD_BARRIER_HOLD_MS: z.coerce
    .number()
    .int()
    .min(0)
    .max(10_000)
    .default(100)
    .describe(
      "Time that a command proved by a barrier alone holds back the next one of its unit and incident, ms: the CAD's handlers run concurrently.",
    ),
  CAD_CONFIRM_TIMEOUT_MS: env.milliseconds.max(60_000).default(5000).describe("Time limit for an ack or an echo, ms."),
  CAD_AUTH_WAIT_MS: env.milliseconds
    .max(30_000)
    .default(3000)
    .describe("A CAD that does not answer fastapi:authenticate within this time counts as ready, ms."),
  DEAD_LETTER_DAYS: z.coerce
    .number()
    .int()
    .min(2)
    .max(3650)
    .default(DEAD_LETTER_DAYS)
    .describe("Retention of dead letters, days."),
  HOLD: commandNames
    .default([])
    .describe(
      "Commands, such as `assignments/send,incidents/status`, whose rejected or failed ones hold their place: later commands of the same unit and incident wait until such a dead letter is redriven, in its place, or discarded.",
    ),
  AUDIT_DAYS: z.coerce
    .number()
    .int()
    .min(1)
    .max(36_500)
    .default(AUDIT_DAYS)
    .describe("Retention of the audit trail, days: six years."),
  AUDIT_KEY: env.note(auditKeyList.optional(), { secret: true }),
  AUDIT_ADOPT: z
    .string()
    .regex(/^\d+-\d+:[\w-]{43}$/, "must be ID:HASH, as `npm run audit -- verify` prints it")
    .optional()
    .describe(
      "ID:HASH of the head of an audit trail that was made without the worker's keys, or with others, and is to be continued with them.",
    ),
  JOURNAL_DAYS: z.coerce
    .number()
    .min(1)
    .max(3650)
    .default(7)
    .describe("Retention of CAD events, days: how far back a service can catch up."),
  JOURNAL_MAX: z.coerce
    .number()
    .int()
    .min(1000)
    .default(1_000_000)
    .describe("Maximum number of CAD events in the journal."),
  JOURNAL_MAX_BYTES: z.coerce
    .number()
    .int()
    .min(0)
    .default(1024 ** 3)
    .describe("Maximum size of the journal in Redis's memory, bytes, about. 0: unlimited."),
  ROUTES_FILE: z
    .string()
    .min(1)
    .optional()
    .describe("YAML or JSON file of destinations and rules: which service receives which CAD events."),
  BILLING_API_URL: serviceUrl("billing", "BILLING_WEBHOOK_SECRET"),
  BILLING_WEBHOOK_SECRET: webhookSecret("billing", "BILLING_API_URL"),
  EPCR_API_URL: serviceUrl("ePCR", "EPCR_WEBHOOK_SECRET"),
  EPCR_WEBHOOK_SECRET: webhookSecret("ePCR", "EPCR_API_URL"),
  ALLOW_PRIVATE_DESTINATIONS: z
    .stringbool({ error: "must be true or false" })
    .default(false)
    .describe("Whether destinations may have private addresses and http:// URLs."),
  DESTINATION_BACKLOG: z.coerce
    .number()
    .int()
    .min(1)
    .default(100_000)
    .describe("Maximum number of events waiting in one destination's outbox; beyond, they wait in the journal."),
  ALERT_URL: env.note(
    httpUrl
      .optional()
      .describe(
        "URL that each problem is posted to when it opens and when it is resolved: an Alertmanager (`…/api/v2/alerts`), or any webhook that takes JSON.",
      ),
    { secret: true },
  ),
  ALERT_AFTER_S: z.coerce
    .number()
    .int()
    .min(1)
    .max(3600)
    .default(10)
    .describe("How long a problem has to be there before it is reported, and to be gone before it is resolved, s."),
  HEARTBEAT_URL: env.note(
    httpUrl
      .optional()
      .describe("URL that is requested (GET) regularly while all is well, so that somebody notices when it is not."),
    { secret: true },
  ),
  HEARTBEAT_EVERY_S: z.coerce.number().int().min(1).max(3600).default(60).describe("How often, s."),
  CANARY_UNIT: unitId
    .optional()
    .describe(
      "A test unit of the CAD: its status is sent through the whole path regularly, and missed if it does not arrive.",
    ),
  CANARY_URL: env.note(
    httpUrl
      .refine((text) => !URL.parse(text)?.search, "must not contain a query")
      .optional()
      .describe(
        "Base URL of the HTTP API, such as `https://bridge.example/api/socket-bridge`, that these commands are posted to. Without it they begin in the outbox, and say nothing of the functions.",
      ),
    { needs: "CANARY_TOKEN" },
  ),
  CANARY_TOKEN: env.note(
    z
      .string()
      .trim()
      .regex(/^[\x21-\x7e]+$/, "must be a token")
      .optional()
      .describe("Bearer token for it, of a crew or a dispatcher. Its file is read again for each command."),
    { secret: true, needs: "CANARY_URL" },
  ),
  CANARY_EVERY_S: z.coerce.number().int().min(1).max(3600).default(60).describe("How often, s."),
  WORKER_PORT: env.port.default(9464).describe("Port of the worker's own /health."),
  WORKER_HOST: z.string().min(1).default("127.0.0.1").describe("Address that the worker's own /health listens on."),
  WORKER_INSTANCE: z
    .string()
    .regex(/^[\w.-]{1,64}$/, "must be letters, digits, dots, dashes or underscores")
    .optional()
    .describe(
      "Name of this worker. A restart under the same name takes the CAD back at once; no two workers may share one. Random if not set.",
    ),
});
export type WorkerConfig = Config<typeof workerEnv>;
