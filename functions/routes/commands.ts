import type { Context } from "hono";
import { z } from "zod";
import type { Command } from "../../shared/commands/command.ts";
import type { Log } from "../../shared/util/log.ts";
import type { Appended, MessageRecord, NewMessage } from "../../shared/outbox/outbox.ts";
import { isDead, isFinal, type State, STATES } from "../../shared/outbox/states.ts";
import { invalidBody, Problem } from "../http/problem.ts";
import type { Measure } from "../../shared/metrics/measure.ts";
import type { NaiveTimes } from "../../shared/vocabulary/fields.ts";
import { redisFault } from "../../shared/redis/fault.ts";
import type { Proof } from "../../shared/commands/proof.ts";
import { toMessage } from "../../shared/commands/message.ts";
import type { Tracer } from "../../shared/tracing/tracer.ts";
import { toReceipt } from "../../shared/commands/receipt.ts";
import type { Role } from "../../shared/vocabulary/roles.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import { noteOf, onceInAWhile } from "./audit.ts";
import type { Caller, CallerEnv } from "../http/caller.ts";
import type { Backend } from "../backend/backend.ts";
import { commandTtl, idempotencyKey, preferredWait } from "../http/command-headers.ts";
import { jsonBody } from "../http/json-body.ts";

/** Which outbox answered for a command, and where its receipt is. */
export interface Taken {
  appended: Appended;
  backend: Backend;
  basePath: string;
}
export type TakeCommand = (message: NewMessage, caller: Caller) => Promise<Taken>;

export interface AcceptDeps {
  backend: Backend;
  /** Seals payloads before they leave this process: not even the connection to Redis carries them in clear. */
  sealer: Sealer;
  basePath: string;
  /** With several CADs: selects the command's CAD. Absent: always `backend`. */
  take?: TakeCommand;
  now: () => Date;
  naiveTimes: NaiveTimes;
  newId: () => string;
  log: Log;
  measure: Measure;
  tracer: Tracer;
  /** A monotonic clock, ms. */
  monotonic: () => number;
}

type AcceptContext = Context<CallerEnv, string, { out: { json: unknown } }>;

/** Parses the body by the command's schema and reports every invalid field. */
export const parseBody = (command: Command) => jsonBody(command.body, invalidBody);

/** Accepts a command: 202 means that Redis has stored it. */
export function acceptCommand(command: Command, deps: AcceptDeps) {
  const take = deps.take ?? (async (message) => ({ ...deps, appended: await deps.backend.accept(message) }));
  return async (c: AcceptContext): Promise<Response> => {
    const from = deps.monotonic();
    const body = c.req.valid("json");
    const wrong = command.check?.(body, { now: deps.now(), naiveTimes: deps.naiveTimes }) ?? [];
    if (wrong.length > 0) throw invalidBody(wrong.map((w) => ({ pointer: `/${w.path.join("/")}`, detail: w.message })));

    const key = idempotencyKey(c.req.header("Idempotency-Key"));
    const ttlSeconds = commandTtl(c.req.header("Command-TTL")) ?? command.ttlSeconds;
    const wait = preferredWait(c.req.header("Prefer"));
    const { userId, role } = c.get("caller");
    const id = deps.newId();
    const span = deps.tracer.start("append", c.get("traceparent"), { "socket_bridge.command": command.name });
    const request = { id, user: userId, role, ttlSeconds, idempotencyKey: key, traceparent: span.traceparent };
    const message = await toMessage(deps.sealer, command, body, request);
    const note = noteOf(c, deps.basePath, message.keys);
    const noted = { ...message, note: command.latestWins ? onceInAWhile(note) : note };
    const { appended, backend, basePath } = await take(noted, c.get("caller")).catch((error: unknown) => {
      span.end({}, error instanceof Problem ? error.code : "redis");
      throw maybeAccepted(error, key === undefined ? id : undefined);
    });

    const appendedId = "id" in appended ? appended.id : undefined;
    span.end({ "socket_bridge.outcome": appended.outcome, "socket_bridge.command_id": appendedId });
    const accepted = refuseUnlessAccepted(appended, role);
    deps.measure.observe("socket_bridge_accept_seconds", (deps.monotonic() - from) / 1000);
    deps.log.info({ command_id: accepted.id, command: command.name, outcome: accepted.outcome }, "command");
    if (accepted.outcome === "replayed") c.header("Idempotency-Replayed", "true");
    c.header("Location", `${basePath}/commands/${accepted.id}`);
    const ids = idsOf(body);
    if (wait === undefined) return c.json(answer(accepted.id, accepted.state, ids), 202);

    c.header("Preference-Applied", `wait=${wait}`);
    // Already accepted: if waiting fails, the response reports what is known.
    const record = await backend.readSettled(accepted.id, wait * 1000).catch(() => undefined);
    if (!record || !isFinal(record.state))
      return c.json(answer(accepted.id, record?.state ?? accepted.state, ids), 202);
    if (isDead(record.state)) throw undeliverable(record, c.res.headers);
    const receipt = toReceipt(record);
    return c.json({ ...answer(record.id, record.state, ids, receipt.proof), ...receipt }, 200);
  };
}

type Accepted = Extract<Appended, { outcome: "accepted" | "replayed" }>;

function refuseUnlessAccepted(appended: Appended, role: Role): Accepted {
  switch (appended.outcome) {
    case "accepted":
    case "replayed":
      return appended;
    case "conflict":
    case "once":
      throw new Problem("idempotency-conflict", "This Idempotency-Key was used with another command, body or TTL.");
    case "full":
      throw new Problem(
        "redis-full",
        `The limit of waiting commands (${role === "crew" ? "MAX_BACKLOG less the reserve for dispatchers" : "MAX_BACKLOG"}) is reached. Nothing was accepted.`,
      );
    // Where it was taken, nothing moves.
    case "moved":
      throw new Problem("unit-moving", "A unit was moved to another CAD. Nothing was accepted.");
    // Only a redrive takes a dead letter's place, so this cannot happen.
    case "gone":
      throw new Problem("not-found", "There is no such dead letter.");
    case "over":
      throw new Problem(
        "too-much-waiting",
        `${WAITS[appended.bound]} Nothing was accepted.`,
        { bound: appended.bound === "held" ? "key" : appended.bound },
        { "Retry-After": String(WAITING_RETRY_S) },
      );
  }
}

/** Retry-After for a command refused by a limit, s: at about 30 ms each, 60 waiting ones are settled by then. */
const WAITING_RETRY_S = 2;
const WAITS = {
  subject: "The limit of waiting commands of the token's subject is reached.",
  key: "The limit of waiting commands of this unit, incident or room is reached.",
  held: "The limit of waiting commands of this unit, incident or room is reached: a dead letter holds their queue (HOLD) until an admin redrives or discards it.",
} as const;

/** A command whose answer from Redis was lost may have been accepted: its id makes a retry safe. */
function maybeAccepted(error: unknown, id: string | undefined): unknown {
  if (redisFault(error) !== "unavailable" || id === undefined) return error;
  return new Problem(
    "redis-unavailable",
    "Redis did not respond. To repeat the request without sending the command twice, use idempotency_key as the Idempotency-Key.",
    { idempotency_key: id },
  );
}

function undeliverable(record: MessageRecord, headers: Headers): Problem {
  const kept = Object.fromEntries(
    ["Location", "Preference-Applied", "Idempotency-Replayed"].flatMap((name) => {
      const value = headers.get(name);
      return value === null ? [] : [[name, value]];
    }),
  );
  return new Problem("undeliverable", record.reason, { command_id: record.id, receipt: toReceipt(record) }, kept);
}

/** For relayed commands: does not claim that anything was stored or displayed. */
const RELAYED = "Delivered. The CAD relayed it to its connected clients; that does not show that it stored it.";
const MESSAGES = {
  queued: "Accepted. It will be delivered in its order.",
  sent: "Accepted and sent. The CAD has not confirmed it yet.",
  confirmed: "Delivered and confirmed by the CAD.",
  received: "Delivered. The CAD does not confirm this event.",
  unconfirmed: "The CAD received it but did not confirm it in time. It is not sent again automatically.",
  superseded: "Replaced by a newer value.",
  rejected: "Rejected by the CAD.",
  failed: "It could not be delivered.",
  expired: "Its time to live passed before it could be delivered.",
} as const satisfies Record<State, string>;

export const acceptedAnswer = z
  .looseObject({
    success: z.boolean().meta({ description: "False if the CAD did not confirm it." }),
    message: z.string(),
    command_id: z.string(),
    status: z.enum(STATES),
  })
  .meta({ description: "With the ids in the body." });

/** `success` claims only what is known: false once the CAD has definitely not confirmed it. */
const answer = (
  id: string,
  state: State,
  ids: Record<string, unknown>,
  proof: Proof | null = null,
): z.input<typeof acceptedAnswer> => ({
  success: state !== "unconfirmed" && !isDead(state),
  message: state === "confirmed" && proof === "relayed" ? RELAYED : MESSAGES[state],
  command_id: id,
  status: state,
  ...ids,
});

/** The ids of the body, which the answer repeats. */
const idsOf = (body: unknown): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(body as Record<string, unknown>).filter(([name]) => name.endsWith("_id") || name === "room"),
  );
