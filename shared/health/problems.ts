import { z } from "zod";
import { oneLine } from "../util/one-line.ts";

/**
 * `critical`: commands are not delivered or not accepted; health is `unhealthy`. `warning`: something waits or is stalled; health is
 * `degraded`. `notice`: for working hours; does not affect health.
 */
export const SEVERITIES = ["critical", "warning", "notice"] as const;
export type Severity = (typeof SEVERITIES)[number];

/** One row of the table of problems. `Params`: the parameters of its message. */
interface ProblemKind<Params> {
  severity: Severity;
  title: string;
  /** One sentence for the on-call engineer. Texts in `Params` are cut to one line first. */
  message(params: Params): string;
  /** The next step. */
  hint: string;
  /** What is lost, if anything, as a sentence. */
  lost: string;
}
const kind = <Params = Record<string, never>>(row: ProblemKind<Params>): ProblemKind<Params> => row;

const inSeconds = (age: number): string => `${Math.round(age)} s`;
const WAIT = "Nothing: commands are accepted, and wait in Redis in their order.";
const REFUSED = "No accepted command. Refused requests are answered with a problem that asks to repeat them.";
const KEPT = "Nothing: events are kept in the journal for JOURNAL_DAYS, and messages in the destination's outbox.";
const NONE = "Nothing.";

/**
 * Every problem of a running bridge. Health, /status, the worker's own /health, the doctor and the runbook (docs/operations.md, one
 * section per code) use these codes; a code never changes its meaning.
 *
 * To add one: a row here, a section in the runbook, and `found("the-code", …)` where it is detected.
 */
export const PROBLEMS = {
  "redis-unavailable": kind<{ reason?: string }>({
    severity: "critical",
    title: "Redis cannot be reached",
    message: ({ reason }) =>
      `Redis cannot be reached${reason ? ` (${reason})` : ""}: nothing is accepted or delivered.`,
    hint: "Start Redis, or correct REDIS_URL.",
    lost: REFUSED,
  }),
  "redis-refused": kind<{ reason: string }>({
    severity: "critical",
    title: "Redis refuses the bridge",
    message: ({ reason }) => `Redis refuses the bridge: ${reason}.`,
    hint: "Correct user and password in REDIS_URL, or the user's ACL: it needs the keys and channels that begin with {REDIS_PREFIX}:, in braces.",
    lost: REFUSED,
  }),
  "redis-unsuitable": kind<{ reason: string }>({
    severity: "critical",
    title: "What answers at REDIS_URL cannot be used",
    message: ({ reason }) => `Redis cannot be used: ${reason}.`,
    hint: "Correct REDIS_URL: a Sentinel is named by redis+sentinel://, a cluster by redis+cluster://.",
    lost: REFUSED,
  }),
  "redis-moving": kind({
    severity: "critical",
    title: "Redis Cluster is migrating the slot of the bridge",
    message: () =>
      "Redis Cluster is migrating the slot of the bridge to another node: nothing is accepted or delivered.",
    hint: "Wait for the migration to end. An interrupted one is completed by `redis-cli --cluster fix`.",
    lost: REFUSED,
  }),
  "redis-emptied": kind({
    severity: "warning",
    title: "Redis lost its data",
    message: () => "Redis lost all its data; a new, empty store was created.",
    hint: "Find the cause (FLUSHALL, a restart without the append-only file, failover to an empty replica) and inform the services: they can repeat every command without a receipt. Reported for 24 h.",
    lost: "Commands accepted before and not yet delivered, all receipts, the journal and the audit trail.",
  }),
  "wrong-cad": kind<{ store: string; own: string }>({
    severity: "critical",
    title: "The store belongs to another CAD",
    message: ({ store, own }) =>
      `The store in Redis belongs to the CAD ${store}, and this worker is for ${own}: it stands by and sends nothing.`,
    hint: "Correct CAD_BACKEND_URL or REDIS_PREFIX. If the address of the CAD has changed, set CAD_MOVED_FROM to the one in the message; if it has several addresses, set CAD_ID.",
    lost: WAIT,
  }),
  "store-newer": kind<{ store: number; own: number }>({
    severity: "critical",
    title: "A newer version wrote the store",
    message: ({ store, own }) =>
      `A newer version of the bridge wrote the store in Redis (format ${store}; this version knows ${own}): nothing is accepted or sent by this process.`,
    hint: "Install the newer version again. To go back to this one, restore a backup from before the upgrade.",
    lost: WAIT,
  }),
  "redis-full": kind({
    severity: "critical",
    title: "Redis is full",
    message: () =>
      "Redis is out of memory or cannot write: no command is accepted until it can. Stored commands are still delivered.",
    hint: "Increase maxmemory, or free disk space on the Redis host.",
    lost: REFUSED,
  }),
  "backlog-full": kind<{ limit?: number }>({
    severity: "critical",
    title: "The backlog is full",
    message: ({ limit }) =>
      `The limit of waiting commands (MAX_BACKLOG${limit ? ` = ${limit}` : ""}, MAX_BACKLOG_BYTES) is reached: no more are accepted.`,
    hint: "Fix what the commands wait for (see the other problems), or raise the limit if Redis has the memory.",
    lost: REFUSED,
  }),
  "backlog-reserved": kind({
    severity: "warning",
    title: "Only the backlog reserve is left",
    message: () =>
      "Only the reserve of the backlog (BACKLOG_RESERVE_PERCENT) is left: commands of crews are refused, those of dispatchers and admins accepted.",
    hint: "Fix what the commands wait for (see the other problems); GET /audit shows who sends most.",
    lost: REFUSED,
  }),
  "worker-missing": kind({
    severity: "critical",
    title: "No worker has been seen",
    message: () => "No worker has reported within the last week: commands are accepted and wait.",
    hint: "Start a worker with the same REDIS_URL and REDIS_PREFIX.",
    lost: WAIT,
  }),
  "worker-unverified": kind<{ reason: string }>({
    severity: "warning",
    title: "The worker's reports cannot be verified",
    message: ({ reason }) => `It is not known how the worker is: ${reason}.`,
    hint: "Give the functions and the worker the same PAYLOAD_KEYS; see docs/security.md, Rotating PAYLOAD_KEYS, for the order.",
    lost: "Nothing: only the health is unknown.",
  }),
  "worker-stopped": kind({
    severity: "critical",
    title: "The worker was stopped",
    message: () => "The worker was stopped and no standby took over: commands are accepted and wait.",
    hint: "Start a worker.",
    lost: WAIT,
  }),
  "worker-silent": kind<{ age: number }>({
    severity: "critical",
    title: "The worker does not report",
    message: ({ age }) => `The worker last reported ${inSeconds(age)} ago: commands are accepted and wait.`,
    hint: "Check the worker's process, its log and its connection to Redis; restart it.",
    lost: WAIT,
  }),
  "worker-not-consuming": kind({
    severity: "critical",
    title: "The worker receives no jobs",
    message: () => "The worker receives no jobs from the queue.",
    hint: "Restart the worker; check its log and the log of Redis.",
    lost: WAIT,
  }),
  "commands-neglected": kind<{ age: number }>({
    severity: "critical",
    title: "Commands are not processed",
    message: ({ age }) => `A command that could be sent has not been processed for ${inSeconds(age)}.`,
    hint: "Restart the worker and check its log.",
    lost: WAIT,
  }),
  "commands-unaccounted": kind<{ count: number }>({
    severity: "warning",
    title: "Accepted commands are gone",
    message: ({ count }) =>
      `${count} ${count === 1 ? "command was" : "commands were"} accepted, and ${count === 1 ? "is" : "are"} neither settled nor waiting.`,
    hint: "Find out who deletes keys in Redis; GET /audit lists what was accepted, and GET /commands/{id} answers 404 for what is gone.",
    lost: "Those commands: their services have to send them again.",
  }),
  "cad-disconnected": kind<{ reason?: string }>({
    severity: "warning",
    title: "The CAD is not connected",
    message: ({ reason }) =>
      `Commands wait: the CAD is not connected, or not ready yet${reason ? ` (${reason})` : ""}.`,
    hint: "Check the CAD, the network to it, CAD_BACKEND_URL and CAD_BACKEND_AUTH_TOKEN; `npm run doctor` tests each.",
    lost: "No command: they wait in Redis in order. Events that the CAD sends meanwhile are missed unless it can replay them.",
  }),
  "move-pending": kind<{ count: number; from: string }>({
    severity: "warning",
    title: "Units wait to be moved to this CAD",
    message: ({ count, from }) =>
      `${count} ${count === 1 ? "unit waits" : "units wait"} to be moved here: commands of them are not settled yet at ${from}.`,
    hint: "Fix what the commands wait for at the CAD that the units leave: GET /units/{id}/move counts them, GET /cads/{cad}/queues/unit:{id} lists them. DELETE /units/{id}/move moves a unit back.",
    lost: "Nothing: commands accepted since the move wait in the outbox of this CAD, in their order.",
  }),
  "cad-not-confirming": kind<{ events: string; ofCallers: boolean; setting?: string }>({
    severity: "warning",
    title: "The CAD confirms no commands",
    message: ({ events, ofCallers, setting }) =>
      `Commands${ofCallers ? " of single callers" : ""} wait: the CAD takes commands but confirms none (${events}).${setting ? ` If it stores them and never echoes them, set ${setting}.` : ""}`,
    hint: "Check the CAD's database and log. A few commands are sent as probes; unconfirmed commands are resent once the CAD confirms again.",
    lost: WAIT,
  }),
  "event-never-echoed": kind<{ event: string; setting: string }>({
    severity: "warning",
    title: "The CAD never echoes an event",
    message: ({ event, setting }) =>
      `The CAD does not echo ${event}, while it echoes other events: its commands end unconfirmed. If the CAD stores them, set ${setting}.`,
    hint: "Check the CAD's log for this event. If the CAD stores the value and only the echo is missing, set CAD_CONFIRM as the message says.",
    lost: "Nothing as far as is known: the CAD received each of these commands. They are listed as dead letters with the state unconfirmed, and can be redriven.",
  }),
  "cad-breaks-connection": kind({
    severity: "warning",
    title: "The CAD closes the connection on every command",
    message: () => "Commands wait: the CAD closes the connection on every command it receives.",
    hint: "Check the CAD's log and the proxies in between. A few commands are sent as probes.",
    lost: WAIT,
  }),
  "canary-missed": kind<{ count: number; reason: string; from: "http" | "outbox" }>({
    severity: "warning",
    title: "The canary does not arrive",
    message: ({ count, reason, from }) =>
      `The last ${count} test commands of CANARY_UNIT, sent to ${from === "http" ? "CANARY_URL" : "the outbox"}, were not delivered (${reason}).`,
    hint: "Look at the other problems first; then at the CAD: it has to know the test unit, and to confirm its status.",
    lost: "Nothing: a canary is a test, and is not kept.",
  }),
  "payload-key-missing": kind<{ reason: string }>({
    severity: "warning",
    title: "Commands wait for a payload key",
    message: ({ reason }) => `Commands wait: ${reason}.`,
    hint: "Add the named key to the worker's PAYLOAD_KEYS again.",
    lost: WAIT,
  }),
  "forged-record": kind<{ count: number; last: string }>({
    severity: "warning",
    title: "Records in Redis were forged",
    message: ({ count, last }) =>
      `${count} records in Redis were forged, removed or put back, and are not believed; the latest is ${last}.`,
    hint: "Find out who can write to Redis and rotate its password; GET /audit?outcome=forged lists the records. If Redis has just crashed or failed over, it may have lost its last second instead.",
    lost: "Forged records are not delivered. A command or event that was overwritten or removed is lost: send it again.",
  }),
  "audit-chain-broken": kind<{ reason: string }>({
    severity: "warning",
    title: "The audit chain cannot be extended",
    message: ({ reason }) => `The audit chain cannot be extended: ${reason}.`,
    hint: "Run `npm run audit -- verify`; docs/security.md describes how to start a new chain.",
    lost: "No command and no entry: entries are written and wait to be chained. `verify` shows whether the trail was changed.",
  }),
  "journal-standstill": kind<{ reason: string }>({
    severity: "critical",
    title: "CAD events cannot be written",
    message: ({ reason }) => `CAD events cannot be written to the journal (Redis: ${reason}). They wait in the worker.`,
    hint: "Give Redis more memory, or lower JOURNAL_MAX_BYTES or JOURNAL_DAYS: the journal is trimmed to them even while Redis is full.",
    lost: "Nothing while they fit into the worker's memory (20,000 events). Further events are requested from the CAD again, or reported as a gap.",
  }),
  "handler-stalled": kind<{ handler: string; reason: string }>({
    severity: "warning",
    title: "An event handler is stalled",
    message: ({ handler, reason }) => `The handler ${handler} is stalled: ${reason}.`,
    hint: "Fix the named cause, such as a key missing from PAYLOAD_KEYS. The handler continues where it stopped.",
    lost: KEPT,
  }),
  "destination-paused": kind<{ destination: string; reason: string }>({
    severity: "warning",
    title: "A destination is paused",
    message: ({ destination, reason }) => `The destination ${destination} is paused: ${reason}.`,
    hint: "Check the service. Delivery is retried automatically; POST /destinations/{id}/enable retries at once.",
    lost: KEPT,
  }),
  "destination-disabled": kind<{ destination: string; reason: string }>({
    severity: "warning",
    title: "A destination is disabled",
    message: ({ destination, reason }) => `The destination ${destination} is disabled: ${reason}.`,
    hint: "Contact the operator of the service; then POST /destinations/{id}/enable, or remove it from the routes.",
    lost: KEPT,
  }),
  "destination-removed": kind<{ destination: string; reason: string }>({
    severity: "warning",
    title: "A removed destination has undelivered messages",
    message: ({ destination, reason }) => `The destination ${destination} is removed: ${reason}.`,
    hint: "Add it to the routes again to deliver them, or discard its dead letters.",
    lost: KEPT,
  }),
  "routes-refused": kind<{ count: number }>({
    severity: "warning",
    title: "The changed routes cannot be used",
    message: ({ count }) =>
      `The worker was asked to reload its routes, and they cannot be used (mistakes: ${count}): the routes before stay in force.`,
    hint: "Correct what the worker's log lists, or `npm run routes -- check FILE`, and send SIGHUP to the worker again.",
    lost: "Nothing: destinations and rules are as they were.",
  }),
  "destination-key-missing": kind<{ destination: string; reason: string }>({
    severity: "warning",
    title: "Messages for a destination wait for a payload key",
    message: ({ destination, reason }) => `Messages for the destination ${destination} wait: ${reason}.`,
    hint: "Add the named key to the worker's PAYLOAD_KEYS again.",
    lost: KEPT,
  }),
  "destination-backlog-full": kind<{ destination: string; count: number; next?: string }>({
    severity: "warning",
    title: "The outbox of a destination is full",
    message: ({ destination, count, next }) =>
      `The outbox of the destination ${destination} is full (${count} events): further events wait in the journal${next ? `; the next attempt is at ${next}` : ""}.`,
    hint: "Check the service. If it is only slow, raise DESTINATION_BACKLOG or its rate.",
    lost: KEPT,
  }),
  "destination-dead-letters": kind<{ destination: string; count: number }>({
    severity: "notice",
    title: "Events for a destination were not delivered",
    message: ({ destination, count }) =>
      `${count} ${count === 1 ? "event" : "events"} for the destination ${destination} used up all attempts and will not be retried automatically.`,
    hint: "See GET /dead-letters?destination=…; redrive or discard them.",
    lost: "Nothing yet: they are kept for DEAD_LETTER_DAYS, then deleted.",
  }),
  "destination-unreachable": kind<{ destination: string; reason: string }>({
    severity: "warning",
    title: "A destination cannot be reached",
    message: ({ destination, reason }) => `The destination ${destination} cannot be reached: ${reason}.`,
    hint: "Start its service, or correct its url in the routes.",
    lost: KEPT,
  }),
  "dead-letters": kind<{ count: number }>({
    severity: "notice",
    title: "Commands were not delivered",
    message: ({ count }) => `${count} ${count === 1 ? "command is a dead letter" : "commands are dead letters"}.`,
    hint: "See GET /dead-letters; redrive or discard them.",
    lost: "Nothing yet: they are kept for DEAD_LETTER_DAYS, then deleted.",
  }),
  "dead-letter-held": kind<{ count: number; behind: number }>({
    severity: "warning",
    title: "Dead letters hold up later commands",
    message: ({ count, behind }) =>
      `${count} ${count === 1 ? "dead letter holds its" : "dead letters hold their"} place (HOLD): ${behind === 0 ? "no command waits" : behind === 1 ? "1 command waits" : `${behind} commands wait`} behind ${count === 1 ? "it" : "them"}.`,
    hint: "See GET /dead-letters?held=true; fix the cause, then redrive each of them (it is sent in its place, and what waits follows) or discard it.",
    lost: "Nothing: the dead letter is kept until it is redriven or discarded, and the commands behind it wait in their order.",
  }),
  "redis-too-old": kind<{ version: string }>({
    severity: "warning",
    title: "Redis is too old",
    message: ({ version }) => `Redis is version ${version}.`,
    hint: "Use Redis 7.0 or newer.",
    lost: NONE,
  }),
  "redis-not-durable": kind({
    severity: "warning",
    title: "Redis does not persist its data",
    message: () => "The append-only file of Redis is off or cannot be written.",
    hint: "Set appendonly yes and check free disk space.",
    lost: "Nothing yet; a restart of Redis would lose accepted commands.",
  }),
  "redis-evicts": kind<{ policy: string }>({
    severity: "warning",
    title: "Redis may evict accepted commands",
    message: ({ policy }) => `The eviction policy of Redis is ${policy}.`,
    hint: "Set maxmemory-policy noeviction.",
    lost: "Nothing yet; when memory runs short, Redis evicts accepted commands.",
  }),
  "redis-memory-short": kind<{ used: number; limit: number }>({
    severity: "warning",
    title: "Redis is running out of memory",
    message: ({ used, limit }) => `Redis uses ${used} MiB of ${limit} MiB.`,
    hint: "Increase maxmemory: beyond it, new commands are refused with 503.",
    lost: NONE,
  }),
  "clock-skew": kind<{ whose: string; ms: number }>({
    severity: "notice",
    title: "Clock skew",
    message: ({ whose, ms }) =>
      `The clock of ${whose} is ${Math.abs(ms)} ms ${ms < 0 ? "behind" : "ahead of"} this machine's.`,
    hint: "Synchronise both with NTP.",
    lost: NONE,
  }),
  "payloads-unsealed": kind({
    severity: "notice",
    title: "Payloads are stored unencrypted",
    message: () => "Payloads are stored in Redis unencrypted.",
    hint: "Set PAYLOAD_KEYS on the functions and the worker, or ALLOW_UNSEALED_PAYLOADS=true if this is intended.",
    lost: NONE,
  }),
} as const;

export type ProblemCode = keyof typeof PROBLEMS;
type ParamsOf<Code extends ProblemCode> = (typeof PROBLEMS)[Code] extends ProblemKind<infer Params> ? Params : never;

/** The runbook's page, with a heading for each code. */
export const RUNBOOK = "docs/operations.md";

export const problem = z.object({
  code: z.string().meta({ description: "One of the codes in docs/operations.md." }),
  severity: z.enum(SEVERITIES).meta({
    description: "`critical` makes the status unhealthy, `warning` degraded; a `notice` does not change it.",
  }),
  about: z.string().optional().meta({ description: "The destination or handler concerned, where there are several." }),
  message: z.string().meta({ description: "Description for the on-call engineer." }),
  since: z.iso.datetime().meta({ description: "When it began or, if unknown, when it was first detected." }),
  hint: z.string().meta({ description: "What to do next." }),
  lost: z.string().meta({ description: "What is lost, if anything." }),
  count: z.int().optional().meta({ description: "Number of commands, messages or dead letters concerned." }),
  oldest_seconds: z.number().optional().meta({ description: "Age of the oldest of them, s." }),
  runbook: z.string().meta({ description: "The section of the runbook." }),
});
export type Problem = z.infer<typeof problem>;

/** A current problem. `since` is set only if known where the problem is detected. */
export type Found = Omit<Problem, "since"> & { since?: string };

interface FoundMore {
  /** The destination or handler, for codes that can occur once for each. */
  about?: string | undefined;
  since?: Date | string | null | undefined;
  count?: number | undefined;
  oldestSeconds?: number | null | undefined;
}

/** Maximum length of a message: above that of any single external text, since some messages contain several. */
const MAX_TEXT = 600;

/** Creates a problem from its code and parameters. */
export function found<Code extends ProblemCode>(code: Code, params: ParamsOf<Code>, more: FoundMore = {}): Found {
  // The row of a code takes that code's parameters, which TypeScript cannot see through the union of all rows.
  const row = PROBLEMS[code] as unknown as ProblemKind<Record<string, unknown>>;
  const shown = Object.entries(params as Record<string, unknown>).map(([name, value]) => [
    name,
    typeof value === "string" ? oneLine(value, MAX_TEXT) : value,
  ]);
  const { about, since, count, oldestSeconds } = more;
  return {
    code,
    severity: row.severity,
    ...(about !== undefined && { about }),
    message: row.message(Object.fromEntries(shown)),
    ...(since && { since: since instanceof Date ? since.toISOString() : since }),
    hint: row.hint,
    lost: row.lost,
    ...(count !== undefined && { count }),
    ...(typeof oldestSeconds === "number" && { oldest_seconds: oldestSeconds }),
    runbook: `${RUNBOOK}#${code}`,
  };
}

/** The name of its alert: `cad-disconnected` becomes SocketBridgeCadDisconnected. */
export const alertNameOf = (code: string): string =>
  `SocketBridge${code.replaceAll(/(?:^|-)(\w)/g, (_all, first: string) => first.toUpperCase())}`;

/** Identifies a problem from its start to its end. */
export const problemId = ({ code, about }: Pick<Problem, "code" | "about">): string =>
  about === undefined ? code : `${code} ${about}`;

const STATUS = { critical: "unhealthy", warning: "degraded", notice: "healthy" } as const;
export type HealthStatus = (typeof STATUS)[Severity];

/** The most severe problem decides. */
export const statusOf = (problems: readonly Pick<Problem, "severity">[]): HealthStatus =>
  STATUS[SEVERITIES.find((severity) => problems.some((p) => p.severity === severity)) ?? "notice"];

/** Several CADs together: unhealthy only if all are, otherwise degraded if any is not healthy. */
export function statusOfSeveral(statuses: readonly HealthStatus[]): HealthStatus {
  if (statuses.every((status) => status === "unhealthy")) return "unhealthy";
  return statuses.every((status) => status === "healthy") ? "healthy" : "degraded";
}
