import { z } from "zod";
import { oneLine } from "../util/one-line.ts";

/**
 * - `critical`: nobody delivers, or nothing can be accepted; health is `unhealthy`
 * - `warning`: something waits or stands still; health is `degraded`
 * - `notice`: somebody should look at it at daytime; health stays as it is
 */
export const SEVERITIES = ["critical", "warning", "notice"] as const;
export type Severity = (typeof SEVERITIES)[number];

/** One row of the table of problems. `Params` are what the sentence needs to know. */
interface ProblemKind<Params> {
  severity: Severity;
  title: string;
  /** One sentence for whoever is on call. Texts in `Params` are cut to one line before. */
  message(params: Params): string;
  /** What to do next. */
  hint: string;
  /** What is lost, if anything: a sentence. */
  lost: string;
}
const kind = <Params = Record<string, never>>(row: ProblemKind<Params>): ProblemKind<Params> => row;

const inSeconds = (age: number): string => `${Math.round(age)} s`;
const WAIT = "Nothing: commands are accepted, and wait in Redis in their order.";
const REFUSED = "Nothing that was accepted. Services are told to repeat what is refused meanwhile.";
const KEPT = "Nothing: events are kept in the journal for JOURNAL_DAYS, and messages in the destination's outbox.";
const NONE = "Nothing.";

/**
 * Everything that can be wrong with a running bridge. Health, /status, the worker's own /health, the doctor and the runbook
 * (docs/operations.md, one section for each code) use these codes; a code never changes its meaning.
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
    title: "A Redis Cluster is moving the bridge's keys",
    message: () => "The Redis Cluster is moving the bridge's keys to another node: nothing is accepted or delivered.",
    hint: "Let the move end; one that was broken off is ended by `redis-cli --cluster fix`.",
    lost: REFUSED,
  }),
  "redis-emptied": kind({
    severity: "warning",
    title: "Redis lost everything",
    message: () => "Redis lost everything that it held, and a new store began.",
    hint: "Find out why (FLUSHALL, a restart without its append-only file, an empty replica that took over), and tell the services: they can send again what has no receipt. Shown for 24 h.",
    lost: "What was accepted and not delivered before, all receipts, the journal and the audit trail.",
  }),
  "wrong-cad": kind<{ store: string; own: string }>({
    severity: "critical",
    title: "The store belongs to another CAD",
    message: ({ store, own }) =>
      `The store in Redis belongs to the CAD ${store}, and this worker is for ${own}: it stands by and sends nothing.`,
    hint: "Correct CAD_BACKEND_URL or REDIS_PREFIX. If the CAD has moved, set CAD_MOVED_FROM to what the store says; if it has several addresses, give it a CAD_ID.",
    lost: WAIT,
  }),
  "redis-full": kind({
    severity: "critical",
    title: "Redis is full",
    message: () => "Redis is full or cannot write: nothing is accepted until it has room. What it holds is delivered.",
    hint: "Give Redis more memory, or its disk more room.",
    lost: REFUSED,
  }),
  "backlog-full": kind<{ limit?: number }>({
    severity: "critical",
    title: "The backlog is full",
    message: ({ limit }) =>
      `As many commands wait as may (MAX_BACKLOG${limit ? ` = ${limit}` : ""}, MAX_BACKLOG_BYTES): no more are accepted.`,
    hint: "Fix what the commands wait for, which is listed beside this; or raise the limit if Redis has the memory.",
    lost: REFUSED,
  }),
  "backlog-reserved": kind({
    severity: "warning",
    title: "Only the reserve of the backlog is left",
    message: () =>
      "So many commands wait that only BACKLOG_RESERVE_PERCENT of the backlog is left: crews are refused, dispatchers and admins are not.",
    hint: "Fix what the commands wait for, which is listed beside this; GET /audit shows who sends most.",
    lost: REFUSED,
  }),
  "worker-missing": kind({
    severity: "critical",
    title: "No worker has been seen",
    message: () => "No worker has reported for a week, or ever: commands are accepted and wait.",
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
    message: () => "The worker was stopped and no other took over: commands are accepted and wait.",
    hint: "Start a worker.",
    lost: WAIT,
  }),
  "worker-silent": kind<{ age: number }>({
    severity: "critical",
    title: "The worker does not report",
    message: ({ age }) => `The worker last reported ${inSeconds(age)} ago: commands are accepted and wait.`,
    hint: "Look at the worker's process and log, and at its connection to Redis; restart it.",
    lost: WAIT,
  }),
  "worker-not-consuming": kind({
    severity: "critical",
    title: "The worker gets no jobs",
    message: () => "No job comes out of the queue: the worker does not consume.",
    hint: "Restart the worker, and look into its log and that of Redis.",
    lost: WAIT,
  }),
  "commands-neglected": kind<{ age: number }>({
    severity: "critical",
    title: "Commands are not worked on",
    message: ({ age }) =>
      `A command that could be sent was not worked on for ${inSeconds(age)}: the worker does not consume.`,
    hint: "Restart the worker, and look into its log.",
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
    hint: "Look at the CAD, the network to it, CAD_BACKEND_URL and CAD_BACKEND_AUTH_TOKEN; `npm run doctor` tries each.",
    lost: "No command: they wait in Redis in their order. Events that the CAD sends meanwhile are missed, unless it can replay them.",
  }),
  "cad-not-confirming": kind<{ events: string; ofCallers: boolean; setting?: string }>({
    severity: "warning",
    title: "The CAD confirms nothing",
    message: ({ events, ofCallers, setting }) =>
      `Commands${ofCallers ? " of single callers" : ""} wait: the CAD takes commands but confirms none (${events}).${setting ? ` If it stores them and never echoes them, set ${setting}.` : ""}`,
    hint: "Look at the CAD's database and log. A few commands go through to see whether it is back; what was not confirmed is sent again then.",
    lost: WAIT,
  }),
  "event-never-echoed": kind<{ event: string; setting: string }>({
    severity: "warning",
    title: "The CAD never echoes an event",
    message: ({ event, setting }) =>
      `The CAD does not echo ${event}, while it echoes other events: its commands end unconfirmed. If the CAD stores them, set ${setting}.`,
    hint: "Look at the CAD's log for this event. If its handler stores the value and only its echo is missing, set CAD_CONFIRM as the message says.",
    lost: "Nothing as far as is known: the CAD's process has each of these commands. They can be listed and sent again as dead letters with the state unconfirmed.",
  }),
  "cad-breaks-connection": kind({
    severity: "warning",
    title: "The CAD breaks the connection over every command",
    message: () => "Commands wait: the CAD breaks the connection over whatever it is sent.",
    hint: "Look at the CAD's log, and at proxies on the way. A few commands go through to see whether it is back.",
    lost: WAIT,
  }),
  "payload-key-missing": kind<{ reason: string }>({
    severity: "warning",
    title: "Commands wait for a payload key",
    message: ({ reason }) => `Commands wait: ${reason}.`,
    hint: "Put the key that is named back into the worker's PAYLOAD_KEYS.",
    lost: WAIT,
  }),
  "forged-record": kind<{ count: number; last: string }>({
    severity: "warning",
    title: "Records in Redis were forged",
    message: ({ count, last }) =>
      `${count} records in Redis were not written by the bridge, and are not believed; the last is ${last}.`,
    hint: "Find out who can write to Redis, and rotate its password; GET /audit?outcome=forged lists the records.",
    lost: "Nothing that was forged is delivered. A command or event that was overwritten is: send it again.",
  }),
  "audit-chain-broken": kind<{ reason: string }>({
    severity: "warning",
    title: "The audit trail cannot be chained",
    message: ({ reason }) => `The audit trail cannot be chained on: ${reason}.`,
    hint: "Run `npm run audit -- verify`; docs/security.md says how the chain begins anew.",
    lost: "No command and no entry: entries are written, and wait to be chained. Whether somebody changed the trail is what verify says.",
  }),
  "journal-standstill": kind<{ reason: string }>({
    severity: "critical",
    title: "The CAD's events cannot be written",
    message: ({ reason }) =>
      `The CAD's events cannot be written into the journal (Redis: ${reason}). They wait in the worker.`,
    hint: "Give Redis more memory, or lower JOURNAL_MAX_BYTES or JOURNAL_DAYS: the journal is trimmed to them even while Redis is full.",
    lost: "Nothing while they fit into the worker's memory (20,000 events). What does not is asked of the CAD again, or reported as a gap.",
  }),
  "handler-stalled": kind<{ handler: string; reason: string }>({
    severity: "warning",
    title: "A handler of the CAD's events stands still",
    message: ({ handler, reason }) => `The handler ${handler} stands still: ${reason}.`,
    hint: "Fix what is named: a payload key is put back into PAYLOAD_KEYS. The handler goes on where it was.",
    lost: KEPT,
  }),
  "destination-paused": kind<{ destination: string; reason: string }>({
    severity: "warning",
    title: "A destination is paused",
    message: ({ destination, reason }) => `The destination ${destination} is paused: ${reason}.`,
    hint: "Look at its service. It is tried again by itself, or at once by POST /destinations/{id}/enable.",
    lost: KEPT,
  }),
  "destination-disabled": kind<{ destination: string; reason: string }>({
    severity: "warning",
    title: "A destination is disabled",
    message: ({ destination, reason }) => `The destination ${destination} is disabled: ${reason}.`,
    hint: "Ask whoever runs its service; then POST /destinations/{id}/enable, or take it out of the routes.",
    lost: KEPT,
  }),
  "destination-removed": kind<{ destination: string; reason: string }>({
    severity: "warning",
    title: "Messages are left of a removed destination",
    message: ({ destination, reason }) => `The destination ${destination} is removed: ${reason}.`,
    hint: "Put it back into the routes to deliver them, or discard its dead letters.",
    lost: KEPT,
  }),
  "destination-key-missing": kind<{ destination: string; reason: string }>({
    severity: "warning",
    title: "Messages for a destination wait for a payload key",
    message: ({ destination, reason }) => `Messages for the destination ${destination} wait: ${reason}.`,
    hint: "Put the key that is named back into the worker's PAYLOAD_KEYS.",
    lost: KEPT,
  }),
  "destination-backlog-full": kind<{ destination: string; count: number; next?: string }>({
    severity: "warning",
    title: "The outbox of a destination is full",
    message: ({ destination, count, next }) =>
      `The outbox of the destination ${destination} is full (${count} events): further events wait in the journal${next ? `; the next attempt is at ${next}` : ""}.`,
    hint: "Look at its service. If it is only slow, raise DESTINATION_BACKLOG or its rate.",
    lost: KEPT,
  }),
  "destination-dead-letters": kind<{ destination: string; count: number }>({
    severity: "notice",
    title: "Events for a destination were not delivered",
    message: ({ destination, count }) =>
      `${count} ${count === 1 ? "event" : "events"} for the destination ${destination} used up the attempts; none is tried again by itself.`,
    hint: "Look at GET /dead-letters?destination=…; redrive or discard them.",
    lost: "Nothing yet: they are kept for DEAD_LETTER_DAYS, and then forgotten.",
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
    hint: "Look at GET /dead-letters; redrive or discard them.",
    lost: "Nothing yet: they are kept for DEAD_LETTER_DAYS, and then forgotten.",
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
    title: "Redis does not keep what it accepts",
    message: () => "The append-only file of Redis is off or cannot be written.",
    hint: "Set appendonly yes, and see that its disk has room.",
    lost: "Nothing yet; a restart of Redis loses what was accepted.",
  }),
  "redis-evicts": kind<{ policy: string }>({
    severity: "warning",
    title: "Redis may throw away what it accepted",
    message: ({ policy }) => `The eviction policy of Redis is ${policy}.`,
    hint: "Set maxmemory-policy noeviction.",
    lost: "Nothing yet; when memory runs short, Redis throws accepted commands away.",
  }),
  "redis-memory-short": kind<{ used: number; limit: number }>({
    severity: "warning",
    title: "Redis is running out of memory",
    message: ({ used, limit }) => `Redis uses ${used} MiB of ${limit} MiB.`,
    hint: "Give Redis more memory: beyond its limit new commands are refused with 503.",
    lost: NONE,
  }),
  "clock-skew": kind<{ whose: string; ms: number }>({
    severity: "notice",
    title: "Two clocks differ",
    message: ({ whose, ms }) =>
      `The clock of ${whose} is ${Math.abs(ms)} ms ${ms < 0 ? "behind" : "ahead of"} this machine's.`,
    hint: "Set both by NTP.",
    lost: NONE,
  }),
  "payloads-unsealed": kind({
    severity: "notice",
    title: "Payloads are stored in clear",
    message: () => "Payloads are stored in Redis in clear.",
    hint: "Set PAYLOAD_KEYS on the functions and the worker, or ALLOW_UNSEALED_PAYLOADS=true if it is meant so.",
    lost: NONE,
  }),
} as const;

export type ProblemCode = keyof typeof PROBLEMS;
type ParamsOf<Code extends ProblemCode> = (typeof PROBLEMS)[Code] extends ProblemKind<infer Params> ? Params : never;

/** The runbook's page; each code is one of its headings. */
export const RUNBOOK = "docs/operations.md";

export const problem = z.object({
  code: z.string().meta({ description: "What is wrong: one of the codes of docs/operations.md." }),
  severity: z.enum(SEVERITIES).meta({
    description: "`critical` makes the status unhealthy, `warning` degraded; a `notice` does not change it.",
  }),
  about: z.string().optional().meta({ description: "Which one, where there are several: a destination or a handler." }),
  message: z.string().meta({ description: "The same in words for whoever is on call." }),
  since: z.iso
    .datetime()
    .meta({ description: "When it began or, where that is not known, when it was first noticed." }),
  hint: z.string().meta({ description: "What to do next." }),
  lost: z.string().meta({ description: "What is lost, if anything." }),
  count: z.int().optional().meta({ description: "How many commands, messages or letters it is about." }),
  oldest_seconds: z.number().optional().meta({ description: "How old the oldest of them is." }),
  runbook: z.string().meta({ description: "Where the runbook tells more." }),
});
export type Problem = z.infer<typeof problem>;

/** A problem that is there now. `since` only where the place that found it knows it. */
export type Found = Omit<Problem, "since"> & { since?: string };

interface FoundMore {
  /** Which one, where the code stands for several. */
  about?: string | undefined;
  since?: Date | string | null | undefined;
  count?: number | undefined;
  oldestSeconds?: number | null | undefined;
}

/** Longer than what is shown of any single text from outside: some sentences are made of several. */
const MAX_TEXT = 600;

/** Says that a problem is there. */
export function found<Code extends ProblemCode>(code: Code, params: ParamsOf<Code>, more: FoundMore = {}): Found {
  // The row of a code takes that code's parameters: TypeScript cannot see it through the union of all rows.
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

/** One and the same problem from the time that it opens until it is resolved. */
export const problemId = ({ code, about }: Pick<Problem, "code" | "about">): string =>
  about === undefined ? code : `${code} ${about}`;

const STATUS = { critical: "unhealthy", warning: "degraded", notice: "healthy" } as const;
export type HealthStatus = (typeof STATUS)[Severity];

/** The worst of them decides. */
export const statusOf = (problems: readonly Pick<Problem, "severity">[]): HealthStatus =>
  STATUS[SEVERITIES.find((severity) => problems.some((p) => p.severity === severity)) ?? "notice"];
