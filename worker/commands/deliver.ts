import { backoffMs } from "../../shared/util/backoff.ts";
import { BoundedMap } from "../../shared/util/bounded-map.ts";
import type { Command, Context, Emit } from "../../shared/commands/command.ts";
import { proofOf } from "../../shared/commands/proof.ts";
import { commandNamed } from "../../shared/commands/table.ts";
import type { Measure } from "../../shared/metrics/measure.ts";
import type { OrderingKey, Room } from "../../shared/vocabulary/ordering-key.ts";
import type { ToSend } from "../../shared/outbox/claim.ts";
import type { Settlement } from "../../shared/outbox/owned.ts";
import { NO_TRACER, type Tracer } from "../../shared/tracing/tracer.ts";
import { toIso } from "../../shared/util/time.ts";
import type { Delivery, SendResult } from "../cad/confirm.ts";
import type { Pass } from "../admission/pass.ts";
import { claimDelivery, type ClaimOptions, type Taken } from "../delivery/claim.ts";
import type { Delivered } from "../delivery/dispatcher.ts";
import type { Admission } from "../admission/admission.ts";
import { settleSurely } from "../delivery/settle.ts";

/** How often a command that the CAD temporarily refuses is sent; with the waits between, about a minute. */
export const MAX_REFUSALS = 10;
const REFUSAL_FROM_MS = 250;
const REFUSAL_TO_MS = 15_000;
/** When an unanswered command that sets a value is resent: after these parts of CAD_CONFIRM_TIMEOUT_MS. */
const RESEND_AFTER = [0.2, 1] as const;
/** How long to wait for an echo of an event that the CAD never echoes, ms: 50 units send 100 a second then. */
const BRIEF_MS = 500;
/** For how many values it is remembered that resending did not help. */
const MAX_HOPELESS = 10_000;
/** How many outcomes are remembered: some 2 MB, and days of a large agency's commands. */
const MAX_SETTLED = 10_000;

export interface DeliverOptions extends ClaimOptions {
  admission: Admission;
  send(delivery: Delivery, needsRoom: Room | undefined): Promise<SendResult>;
  /** The CAD received it, and broadcasts nothing for it. Resolves once that is in the journal. */
  unannounced(delivery: Delivery, keys: readonly OrderingKey[]): Promise<void>;
  measure: Measure;
  tracer?: Tracer;
  /** How long an ack or an echo may take, ms. */
  confirmMs: number;
  /** A command that this worker settled waits again, as it was before: Redis lost the outcome, or somebody put it back. */
  onPutBack?(id: string): void;
  /** Called with the time from a command's acceptance to its final state, ms. */
  onSettled?(ms: number): void;
  /** Aborted when this worker stops or loses the CAD. */
  signal: AbortSignal;
  random: () => number;
}

/** Delivers one command: waits for admission, sends it, and settles, retries or holds it depending on the result. */
export function createDeliver(options: DeliverOptions): (id: string, taken?: Taken) => Promise<Delivered> {
  const { outbox, admission, log, confirmMs, tracer = NO_TRACER } = options;
  /** Values, by event and keys, whose last command stayed unconfirmed after resending: the next is not resent. */
  const hopeless = new BoundedMap<string, boolean>(MAX_HOPELESS);

  /** The most recent settlements. */
  const settled = new BoundedMap<string, Settlement>(MAX_SETTLED);

  async function settle(settlement: Settlement, message: ToSend): Promise<Delivered> {
    const runnable = await settleSurely(outbox, settlement, message, options);
    settled.set(settlement.id, settlement);
    const { id, state, reason, by } = settlement;
    const { kind, sends } = message;
    // One that was sent again may go by the time of its dead letter: how long that lay there is no latency.
    if (!message.redriven)
      options.onSettled?.((message.begunAt - message.acceptedAt) / 1000 + performance.now() - message.begunHere);
    const proof = proofOf(kind, by)?.proof;
    const sinceEmit = (performance.now() - message.begunHere) / 1000;
    if (proof) options.measure.observe("socket_bridge_emit_to_proof_seconds", sinceEmit, { proof });
    log.info({ command_id: id, command: kind, state, proof, by, reason: reason || undefined, sends }, "settled");
    return { runnable };
  }

  /** One attempt with a pass; `again`: it needs a new pass. */
  async function tryOnce(id: string, pass: Pass, taken: Taken | undefined): Promise<Delivered | "again"> {
    const begun = await claimDelivery("command", id, options, taken);
    if (begun.may === "not") return begun.follows;
    const { message } = begun;
    const before = settled.get(id);
    if (before) {
      log.warn(
        { command_id: id, state: before.state },
        "its outcome is gone from Redis: it is settled again, not sent",
      );
      options.onPutBack?.(id);
      return { runnable: await settleSurely(outbox, before, message, options) };
    }
    const prepared = begun.may === "send" ? prepare(id, message, begun.text) : begun;
    if ("reason" in prepared) return settle({ id, state: "failed", by: "", reason: prepared.reason }, message);
    const { delivery, command } = prepared;
    const { effect } = command;
    const candidate = { id, event: delivery.event, effect, keys: message.keys, caller: message.user };
    if (!pass.start(candidate)) {
      await outbox.putBack(id);
      return "again";
    }
    const brief = pass.isUnechoed() && { confirmMs: Math.min(BRIEF_MS, confirmMs) };
    const waited = (message.begunAt - message.acceptedAt) / 1_000_000;
    if (message.sends === 1 && !message.redriven)
      options.measure.observe("socket_bridge_accept_to_emit_seconds", waited);
    const outcome = await traced(tracer, id, message, () =>
      options.send({ ...delivery, ...brief }, prepared.needsRoom),
    );
    const value = JSON.stringify([delivery.event, message.keys]);
    switch (outcome.result) {
      case "confirmed":
      case "received":
        pass.proved(proofOf(message.kind, outcome.by)?.proof ?? "received");
        pass.release();
        if (hopeless.has(value)) hopeless.set(value, false);
        // A resent value may be on its way through the CAD once more: the next one must not be overtaken by it.
        if (outcome.result === "confirmed") await outcome.through;
        // Before it is settled: after a crash in between it is sent and reported again, and written once.
        else await options.unannounced(delivery, message.keys);
        return settle({ id, state: outcome.result, reason: "", by: outcome.by }, message);
      case "rejected":
        // It handles what it is sent, but that proves no write.
        pass.proved("relayed");
        return settle({ id, state: "rejected", reason: outcome.reason, by: "" }, message);
      case "refused":
        pass.proved("received");
        return refuse(id, message, outcome.reason);
      case "unconfirmed":
        return unanswered(id, message, pass, value);
      case "disconnected":
        return disconnected(id, message, pass);
    }
  }

  async function refuse(id: string, message: ToSend, reason: string): Promise<Delivered> {
    const refusals = await outbox.refused(id);
    if (refusals < MAX_REFUSALS)
      return { retryInMs: backoffMs(refusals, REFUSAL_FROM_MS, REFUSAL_TO_MS, options.random) };
    return settle({ id, state: "failed", reason: `refused ${refusals} times; ${reason}`, by: "" }, message);
  }

  async function unanswered(id: string, message: ToSend, pass: Pass, value: string): Promise<Delivered | "again"> {
    const verdict = pass.missed();
    if (verdict === "hold") return "again";
    if (verdict === "retry") {
      log.info(
        { command_id: id, command: message.kind, sends: message.sends },
        "not confirmed, nor is any other: resending",
      );
      return { retryInMs: (message.sends > 1 ? 1 : RESEND_AFTER[0]) * confirmMs };
    }
    const unechoed = pass.isUnechoed();
    if (verdict === "resend") {
      const waits = hopeless.get(value) ? [] : RESEND_AFTER.map((part) => part * confirmMs);
      const next = await outbox.scheduleRetry(id, waits, 0, "unanswered");
      if (next.answer === "again") {
        log.info({ command_id: id, command: message.kind, sends: message.sends }, "not confirmed: resending");
        return next.inMs > 0 ? { retryInMs: next.inMs } : "again";
      }
      hopeless.set(value, true);
    }
    const reason = unechoed
      ? "the CAD has it, but never echoes this event"
      : message.sends > 1
        ? `the CAD has it, but did not confirm it in time, sent ${message.sends} times`
        : "the CAD has it, but did not confirm it in time";
    return settle({ id, state: "unconfirmed", reason, by: "barrier" }, message);
  }

  async function disconnected(id: string, message: ToSend, pass: Pass): Promise<Delivered | "again"> {
    const verdict = pass.broke();
    if (typeof verdict === "string") return "again";
    const reason = `poison: the connection to the CAD broke over it ${verdict.poison} times`;
    return settle({ id, state: "failed", reason, by: "" }, message);
  }

  return async function deliver(id, taken) {
    for (let first = taken; ; first = undefined) {
      const pass = admission.enter(id);
      // It was begun before admission changed.
      if (first && (pass === undefined || pass instanceof Promise)) await outbox.putBack(id);
      if (pass === undefined) return { runnable: [] };
      if (pass instanceof Promise) return { waits: pass };
      try {
        const next = await tryOnce(id, pass, first);
        if (next !== "again") return next;
      } finally {
        pass.release();
      }
    }
  };
}

/** Sends, with the spans of that: what goes out at once, and what it takes until the CAD has answered. */
async function traced(tracer: Tracer, id: string, message: ToSend, send: () => Promise<SendResult>) {
  const about = { "socket_bridge.command": message.kind, "socket_bridge.command_id": id };
  const emit = tracer.start("emit", message.traceparent, { ...about, "socket_bridge.send": message.sends });
  const answer = send();
  const proof = tracer.start("proof", emit.traceparent, about);
  emit.end();
  const outcome = await answer;
  const by = "by" in outcome ? outcome.by : undefined;
  const proved = outcome.result === "confirmed" || outcome.result === "received";
  const attributes = { "socket_bridge.result": outcome.result, "socket_bridge.proved_by": proved ? by : undefined };
  proof.end(attributes, proved ? undefined : outcome.result);
  return outcome;
}

interface Prepared {
  command: Command;
  delivery: Delivery;
  needsRoom: Room | undefined;
}

/** What is sent to the CAD; a reason if this version of the worker cannot make it. */
function prepare(id: string, message: ToSend, text: string): Prepared | { reason: string } {
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
    const delivery = { commandId: id, event, payload, echo: command.echo, sends: message.sends };
    return { command, delivery, needsRoom: command.needsRoom?.(body) };
  } catch {
    return { reason: `this version of the worker cannot read the body of this ${message.kind}` };
  }
}

/** Every object payload carries the audit trail. */
const withContext = ({ event, payload }: Emit, context: Context): Emit => ({
  event,
  payload: typeof payload === "string" ? payload : { ...payload, context },
});
