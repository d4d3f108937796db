import { eventNamed } from "../../shared/events/table.ts";
import type { Measure } from "../../shared/metrics/measure.ts";
import { NO_TRACER, type Tracer } from "../../shared/tracing/tracer.ts";
import type { ToSend } from "../../shared/outbox/claim.ts";
import type { Settlement } from "../../shared/outbox/owned.ts";
import { claimDelivery, type ClaimOptions } from "../delivery/claim.ts";
import type { Delivered } from "../delivery/dispatcher.ts";
import { settleSurely } from "../delivery/settle.ts";
import type { DestinationBreaker, Signal } from "./circuit-breaker.ts";
import type { Tried } from "./attempts-log.ts";
import type { Pace } from "./pace.ts";
import { type DeliveryResult, traceparentOf } from "./send.ts";

/** How often a destination may put one message off by 429 or Retry-After before that counts as an attempt. */
const MAX_THROTTLED = 100;
/** Of a wait, this part at random, so that not all come back at once. */
const JITTER = 0.2;

export interface DeliverToOptions extends ClaimOptions {
  /** The destination's id. */
  destination: string;
  breaker: DestinationBreaker;
  pace: Pace;
  retryMs(): readonly number[];
  send(body: string, traceparent?: string): Promise<DeliveryResult>;
  /** @param at when it was sent */
  onResult(answer: DeliveryResult, tried: Tried, at: Date, durationMs: number): void;
  measure: Measure;
  tracer?: Tracer;
  signal: AbortSignal;
  random: () => number;
}

/** Delivers one message to a destination: claims it, posts it, and records the outcome. */
export function createDeliverTo(options: DeliverToOptions): (id: string) => Promise<Delivered> {
  const { outbox, breaker, tracer = NO_TRACER, signal, log } = options;

  async function settle(settlement: Settlement, message: ToSend): Promise<Delivered> {
    const runnable = await settleSurely(outbox, settlement, message, options);
    const { id, state, reason } = settlement;
    const fields = { message: id, event: message.kind, state, reason: reason || undefined, sends: message.sends };
    log.info({ destination: options.destination, ...fields }, "settled");
    return { runnable };
  }

  /** From the time of the journal entry, which is in its id: both are times of Redis's clock. */
  function measureTime(id: string, { begunAt, begunHere }: ToSend): void {
    const now = begunAt / 1000 + performance.now() - begunHere;
    // A redriven message has a new id, without a time.
    const [, journalled] = /^(\d{13})-\d+$/.exec(id) ?? [];
    if (journalled === undefined) return;
    const seconds = (now - Number(journalled)) / 1000;
    options.measure.observe("socket_bridge_event_to_webhook_seconds", seconds, { destination: options.destination });
  }

  async function scheduleRetry(
    id: string,
    message: ToSend,
    reason: string,
    throttled: number,
  ): Promise<Delivered | "again"> {
    const waits = options.retryMs().map((ms) => ms * (1 + JITTER * (2 * options.random() - 1)));
    const next = await outbox.scheduleRetry(id, waits, throttled);
    if (next.answer === "used-up")
      return settle({ id, state: "failed", reason: `${next.attempts} attempts failed; ${reason}`, by: "" }, message);
    return next.inMs > 0 ? { retryInMs: next.inMs } : "again";
  }

  /** What follows from what the destination answered. */
  function follow(id: string, message: ToSend, answer: DeliveryResult): Promise<Delivered | "again"> {
    switch (answer.result) {
      case "ok":
        measureTime(id, message);
        return settle({ id, state: "confirmed", reason: "", by: `response:${answer.status}` }, message);
      case "gone":
        return Promise.resolve("again");
      case "busy":
        return scheduleRetry(id, message, answer.reason, MAX_THROTTLED);
      case "failed":
        return scheduleRetry(id, message, answer.reason, 0);
    }
  }

  /** One try, with leave to send. */
  async function sendOnce(id: string, observe: (observed: Signal) => void): Promise<Delivered | "again"> {
    await options.pace(signal);
    if (signal.aborted) return { runnable: [] };
    const begun = await claimDelivery("webhook", id, options);
    if (begun.may === "not") return begun.follows;
    const { message } = begun;
    if (begun.may === "never") return settle({ id, state: "failed", reason: begun.reason, by: "" }, message);
    const [at, from] = [new Date(), performance.now()];
    const span = tracer.start("webhook", traceparentOf(begun.text), {
      "socket_bridge.destination": options.destination,
      "socket_bridge.event": nameOf(message.kind),
      "socket_bridge.send": message.sends,
    });
    const answer = await options.send(begun.text, span.traceparent);
    const status = answer.status ?? undefined;
    span.end({ "http.response.status_code": status }, answer.result === "ok" ? undefined : answer.result);
    // The end of the worker cuts its connections: that is no answer.
    if (signal.aborted && answer.result === "failed" && answer.unreachable) return { runnable: [] };
    options.onResult(answer, { id, event: message.kind, number: message.sends }, at, performance.now() - from);
    observe(signalOf(answer, message.keys.join()));
    return follow(id, message, answer);
  }

  return async function deliver(id) {
    for (;;) {
      const pass = await breaker.enter();
      if (!pass) return { runnable: [] };
      let observed: Signal = { what: "nothing" };
      try {
        const next = await sendOnce(id, (what) => void (observed = what));
        if (next !== "again") return next;
      } finally {
        pass.done(observed);
      }
    }
  };
}

/** The name of an event that is in no table comes from outside. */
const nameOf = (event: string): string => (eventNamed(event) || event.startsWith("bridge:") ? event : "other");

function signalOf(answer: DeliveryResult, keys: string): Signal {
  switch (answer.result) {
    case "ok":
      return { what: "answered" };
    case "gone":
      return { what: "gone", reason: answer.reason };
    case "busy":
      return { what: "busy", inMs: answer.inMs, reason: answer.reason };
    case "failed":
      return answer.unreachable
        ? { what: "unreachable", reason: answer.reason }
        : { what: "failed", keys, reason: answer.reason };
  }
}
