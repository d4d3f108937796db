import { backoffMs } from "../../shared/util/backoff.ts";
import type { Context, Emit } from "../../shared/commands/command.ts";
import { commandNamed } from "../../shared/commands/table.ts";
import type { OrderingKey, Room } from "../../shared/vocabulary/ordering-key.ts";
import type { ToSend } from "../../shared/outbox/claim.ts";
import type { Settlement } from "../../shared/outbox/owned.ts";
import { toIso } from "../../shared/util/time.ts";
import type { Delivery, Outcome } from "../cad/confirm.ts";
import { claimDelivery, type ClaimOptions } from "../delivery/claim.ts";
import type { Delivered } from "../delivery/dispatcher.ts";
import type { CircuitBreaker, Signal, Pass } from "./circuit-breaker.ts";
import { settleSurely } from "../delivery/settle.ts";
import type { Place, PoisonDetector } from "./poison-detector.ts";

/** How often a command that the CAD refuses for now is sent; with the waits between, about a minute. */
export const MAX_REFUSALS = 10;
const REFUSAL_FROM_MS = 250;
const REFUSAL_TO_MS = 15_000;

export interface DeliverOptions extends ClaimOptions {
  breaker: CircuitBreaker;
  quarantine: PoisonDetector;
  send(delivery: Delivery, needsRoom: Room | undefined): Promise<Outcome>;
  /** The CAD received it, and tells nobody of it. Resolves once that is noted. */
  unannounced(delivery: Delivery, keys: readonly OrderingKey[]): Promise<void>;
  /** Aborted when this worker stops or loses the CAD. */
  signal: AbortSignal;
  random: () => number;
}

/** Delivers one command: asks whether it may go, sends it, and settles what became of it. */
export function createDeliver(options: DeliverOptions): (id: string) => Promise<Delivered> {
  const { outbox, breaker, log } = options;

  async function settle(settlement: Settlement, message: ToSend | undefined): Promise<Delivered> {
    const runnable = await settleSurely(outbox, settlement, message, options);
    const { id, state, reason, by } = settlement;
    log.info(
      { command_id: id, command: message?.kind, state, by, reason: reason || undefined, sends: message?.sends },
      "settled",
    );
    return { runnable };
  }

  /** One try: asks whether it may go, sends it, and decides what follows. */
  async function sendOnce(id: string, place: Place, pass: Pass): Promise<Tried> {
    const begun = await claimDelivery("command", id, options);
    if (begun.may === "not") {
      const { follows } = begun;
      return { heard: "nothing", next: follows === "again" ? { follow: "again" } : { follow: "done", with: follows } };
    }
    const { message } = begun;
    const prepared = begun.may === "send" ? prepare(id, message, begun.text) : begun;
    if ("reason" in prepared) {
      const as = { state: "failed", by: "", reason: prepared.reason } as const;
      return { heard: "nothing", next: { follow: "settle", as }, message };
    }
    const outcome = await options.send(prepared.delivery, prepared.needsRoom);
    const poison = outcome.result === "disconnected" && !pass.probe ? place.broke() : undefined;
    const refusals = outcome.result === "refused" ? await outbox.refused(id) : 0;
    const next = decide(outcome, { refusals, poison }, options.random);
    const broke = poison === undefined ? (place.alone && !pass.probe ? "suspect" : "disconnected") : "poison";
    const heard = outcome.result === "disconnected" ? broke : HEARD[outcome.result];
    const unannounced = outcome.result === "received" ? { unannounced: prepared.delivery } : {};
    return { heard, next, message, ...unannounced };
  }

  /** One try, in its place and through the breaker; undefined if the worker stops. */
  async function tryOnce(id: string): Promise<Tried | undefined> {
    const place = await options.quarantine.enter(id);
    const pass = await breaker.enter(id);
    let tried: Tried | undefined;
    try {
      if (pass) tried = await sendOnce(id, place, pass);
      return tried;
    } finally {
      if (tried && tried.next.follow !== "again") place.acquit();
      pass?.done(tried?.heard ?? "nothing", tried?.message?.keys);
      place.leave();
    }
  }

  return async function deliver(id) {
    for (;;) {
      const tried = await tryOnce(id);
      if (!tried) return { runnable: [] };
      const { next, message, unannounced } = tried;
      // Before it is settled: after a crash in between it is sent and told of again, and noted once.
      if (unannounced && message) await options.unannounced(unannounced, message.keys);
      if (next.follow === "settle") return settle({ id, ...next.as }, message);
      if (next.follow === "retry") return { retryInMs: next.inMs };
      if (next.follow === "done") return next.with;
    }
  };
}

/** What one try came to: what the CAD let hear, what follows, and the message if it was begun. */
interface Tried {
  heard: Signal;
  next: Next | { follow: "done"; with: Delivered };
  message?: ToSend;
  /** What the CAD received without a word. */
  unannounced?: Delivery;
}

/** A barrier proves that the CAD's process lives, not that it handles anything. */
const HEARD = {
  confirmed: "answered",
  rejected: "answered",
  refused: "answered",
  received: "received",
  unconfirmed: "unconfirmed",
} as const satisfies Record<Exclude<Outcome["result"], "disconnected">, Signal>;

/** What the CAD gets; a reason if this version of the worker cannot tell. */
function prepare(
  id: string,
  message: ToSend,
  text: string,
): { delivery: Delivery; needsRoom: Room | undefined } | { reason: string } {
  const command = commandNamed(message.kind);
  if (!command) return { reason: `this version of the worker does not know the command ${message.kind}` };
  const context: Context = {
    commandId: id,
    userId: message.user,
    role: message.role,
    issuedAt: toIso(message.acceptedAt),
  };
  try {
    // By its schema again: what goes out is no more than what would be accepted.
    const body: unknown = command.body.parse(JSON.parse(text));
    const { event, payload } = withContext(command.wire(body, context), context);
    return { delivery: { commandId: id, event, payload, echo: command.echo }, needsRoom: command.needsRoom?.(body) };
  } catch {
    return { reason: `this version of the worker cannot read the body of this ${message.kind}` };
  }
}

/** Every object payload carries the audit trail. */
const withContext = ({ event, payload }: Emit, context: Context): Emit => ({
  event,
  payload: typeof payload === "string" ? payload : { ...payload, context },
});

type Next = { follow: "settle"; as: Omit<Settlement, "id"> } | { follow: "retry"; inMs: number } | { follow: "again" };

/** How often it was refused for now; how often the connection broke over it, if it is known to be what breaks it. */
export interface Attempts {
  refusals: number;
  poison: number | undefined;
}

/** What follows from one send. */
export function decide(outcome: Outcome, { refusals, poison }: Attempts, random: () => number): Next {
  switch (outcome.result) {
    case "confirmed":
    case "received":
      return { follow: "settle", as: { state: outcome.result, reason: "", by: outcome.by } };
    case "unconfirmed":
      return {
        follow: "settle",
        as: { state: "unconfirmed", reason: "the CAD has it, but did not confirm it in time", by: outcome.by },
      };
    case "rejected":
      return { follow: "settle", as: { state: "rejected", reason: outcome.reason, by: "" } };
    case "refused":
      if (refusals >= MAX_REFUSALS) {
        const reason = `refused ${refusals} times; ${outcome.reason}`;
        return { follow: "settle", as: { state: "failed", reason, by: "" } };
      }
      return { follow: "retry", inMs: backoffMs(refusals, REFUSAL_FROM_MS, REFUSAL_TO_MS, random) };
    case "disconnected":
      if (poison !== undefined) {
        const reason = `poison: the connection to the CAD broke over it ${poison} times`;
        return { follow: "settle", as: { state: "failed", reason, by: "" } };
      }
      return { follow: "again" };
  }
}
