import { backoffMs } from "../shared/backoff.ts";
import type { Context, Emit } from "../shared/commands/command.ts";
import { commandNamed } from "../shared/commands/table.ts";
import type { Log } from "../shared/log.ts";
import type { Room } from "../shared/ordering-key.ts";
import { NotOwner, type OwnedOutbox, type Settlement, type ToSend } from "../shared/outbox/owned.ts";
import { sleep } from "../shared/sleep.ts";
import { toIso } from "../shared/time.ts";
import type { Delivery, Outcome } from "./cad/confirm.ts";
import type { Gate, Heard } from "./gate.ts";

/** How often a command that the CAD refuses for now is sent; with the waits between, about a minute. */
export const MAX_REFUSALS = 10;
const REFUSAL_FROM_MS = 250;
const REFUSAL_TO_MS = 15_000;
/** How often a command is sent whose connection breaks each time. */
export const MAX_SENDS = 50;
/** If so long passed between asking and emitting, this process was frozen: it asks again, ms. */
const STALE_MS = 1000;

/** What is to happen after one command was worked on. */
export type Delivered = { runnable: string[] } | { retryInMs: number };

export interface DeliverOptions {
  outbox: OwnedOutbox;
  gate: Gate;
  send(delivery: Delivery, needsRoom: Room | undefined): Promise<Outcome>;
  /** True as long as this worker surely owns the CAD. */
  mayEmit(): boolean;
  /** Aborted when this worker stops or loses the CAD. */
  signal: AbortSignal;
  random: () => number;
  log: Log;
}

/** Delivers one command: asks whether it may go, sends it, and settles what became of it. */
export function createDeliver(options: DeliverOptions): (id: string) => Promise<Delivered> {
  const { outbox, gate, signal, log } = options;

  /** Settled until Redis says so: what is known of a delivery is not to be lost to an outage. */
  async function settle(settlement: Settlement, message: ToSend | undefined): Promise<Delivered> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const runnable = await outbox.settle(settlement);
        const { id, state, reason, by } = settlement;
        log.info(
          { command_id: id, command: message?.kind, state, by, reason: reason || undefined, sends: message?.sends },
          "settled",
        );
        return { runnable };
      } catch (error) {
        if (error instanceof NotOwner || signal.aborted) throw error;
        await sleep(backoffMs(attempt, 100, 2000, options.random), signal);
      }
    }
  }

  /** One try: asks whether it may go, sends it, and decides what follows. */
  async function sendOnce(id: string): Promise<Tried> {
    const asked = performance.now();
    const begun = await outbox.begin(id);
    if (begun.answer === "not-owner") throw new NotOwner();
    if (begun.answer !== "send") {
      return { heard: "nothing", next: { follow: "done", runnable: begun.answer === "settled" ? begun.runnable : [] } };
    }
    if (!options.mayEmit()) throw new NotOwner();
    if (performance.now() - asked > STALE_MS) return { heard: "nothing", next: { follow: "again" } };

    const prepared = prepare(id, begun);
    if ("reason" in prepared) {
      const as = { state: "failed", by: "", reason: prepared.reason } as const;
      return { heard: "nothing", next: { follow: "settle", as }, message: begun };
    }
    const outcome = await options.send(prepared.delivery, prepared.needsRoom);
    return { heard: HEARD[outcome.result], next: decide(outcome, begun.sends, options.random), message: begun };
  }

  return async function deliver(id) {
    for (;;) {
      const pass = await gate.enter();
      if (!pass) return { runnable: [] };
      let tried: Tried | undefined;
      try {
        tried = await sendOnce(id);
      } finally {
        pass.done(tried?.heard ?? "nothing", tried?.message?.keys);
      }
      const { next, message } = tried;
      if (next.follow === "settle") return settle({ id, ...next.as }, message);
      if (next.follow === "retry") return { retryInMs: next.inMs };
      if (next.follow === "done") return { runnable: next.runnable };
    }
  };
}

/** What one try came to: what the CAD let hear, what follows, and the message if it was begun. */
interface Tried {
  heard: Heard;
  next: Next | { follow: "done"; runnable: string[] };
  message?: ToSend;
}

/** A fence proves that the CAD's process lives, not that it handles anything. */
const HEARD = {
  confirmed: "answered",
  rejected: "answered",
  refused: "answered",
  received: "nothing",
  disconnected: "nothing",
  unconfirmed: "unconfirmed",
} as const satisfies Record<Outcome["result"], Heard>;

/** What the CAD gets; a reason if this version of the worker cannot tell. */
function prepare(
  id: string,
  message: ToSend,
): { delivery: Delivery; needsRoom: Room | undefined } | { reason: string } {
  const command = commandNamed(message.kind);
  if (!command) return { reason: `this version of the worker does not know the command ${message.kind}` };
  const context: Context = {
    commandId: id,
    userId: message.user,
    role: message.role,
    issuedAt: toIso(message.acceptedAt),
  };
  const body: unknown = JSON.parse(message.body);
  const { event, payload } = withContext(command.wire(body, context), context);
  return { delivery: { commandId: id, event, payload, echo: command.echo }, needsRoom: command.needsRoom?.(body) };
}

/** Every object payload carries the audit trail. */
const withContext = ({ event, payload }: Emit, context: Context): Emit => ({
  event,
  payload: typeof payload === "string" ? payload : { ...payload, context },
});

type Next = { follow: "settle"; as: Omit<Settlement, "id"> } | { follow: "retry"; inMs: number } | { follow: "again" };

/** What follows from one send. A pure function of it and of how often the command was sent. */
export function decide(outcome: Outcome, sends: number, random: () => number): Next {
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
      if (sends >= MAX_REFUSALS) {
        const reason = `refused each of ${sends} times; ${outcome.reason}`;
        return { follow: "settle", as: { state: "failed", reason, by: "" } };
      }
      return { follow: "retry", inMs: backoffMs(sends, REFUSAL_FROM_MS, REFUSAL_TO_MS, random) };
    case "disconnected":
      if (sends >= MAX_SENDS) {
        const reason = `the connection to the CAD broke each of ${sends} times that it was sent`;
        return { follow: "settle", as: { state: "failed", reason, by: "" } };
      }
      return { follow: "again" };
  }
}
