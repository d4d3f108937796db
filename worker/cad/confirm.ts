import type { Echo } from "../../shared/commands/command.ts";
import { parseAck } from "./ack.ts";
import { isEchoOf, subjectOf, valueAt } from "./echo.ts";
import type { Barriers } from "./barriers.ts";
import type { ConfirmModes } from "./confirm-modes.ts";
import type { Transport } from "./transport.ts";

export interface Delivery {
  commandId: string;
  event: string;
  payload: Record<string, unknown> | string;
  echo: Echo | undefined;
  /** How often it was sent, this time included: former sends of it may be on their way through the CAD still. */
  sends?: number;
  /** How long its ack or echo may take, if that is not the usual time, ms. */
  confirmMs?: number;
}

/** The outcome of one send. */
export type SendResult =
  /** `through`: resolves once former sends of it are not to be expected any more. */
  | { result: "confirmed"; by: "ack" | "echo"; through?: Promise<void> }
  | { result: "received"; by: "barrier" }
  | { result: "unconfirmed"; by: "barrier" }
  | { result: "rejected" | "refused"; reason: string }
  | { result: "disconnected" };

/** How the CAD has treated each event on this connection: the next one may lead to another CAD. */
export type AckHabits = Map<string, "acks" | "silent">;

/**
 * How long an ack may take after the barrier, for an event with no echo, from a CAD that was not seen to ack anything yet,
 * ms. An ack that comes later is still noted for the next time.
 */
export const FIRST_ACK_GRACE_MS = 250;

/**
 * For how long after the echo of a resent command those of its other sends are awaited, ms: the CAD may have held back the first send
 * and handle the last one right behind it, concurrently with what comes next.
 */
export const RESENT_HOLD_MS = 1000;

interface Pending extends Delivery {
  echoes: number;
  /** Echoed, and held while other sends of it may be on their way. */
  through?: { resolve(): void };
  /** No ack came within its time: none is waited for any more. */
  silent: boolean;
  forgetEcho?: () => void;
  settle(outcome: SendResult): void;
}

/** Sends on one connection, and determines the outcome of each send. */
export interface Confirmations {
  send(delivery: Delivery): Promise<SendResult>;
  /** An event came in: the id of the command that it is the echo of, if it is one. Confirms that command. */
  onBroadcast(event: string, payload: unknown): string | undefined;
  inFlight(): number;
  /** The connection ended: nothing in flight will be answered. */
  end(): void;
}

export function createConfirmations(options: {
  modeOf: ConfirmModes;
  timeoutMs: number;
  /** For how long receipt alone is held back, ms. */
  holdMs: number;
  habits: AckHabits;
  barriers: Barriers;
  transport: Pick<Transport, "emit">;
}): Confirmations {
  const { modeOf, timeoutMs, holdMs, habits, barriers, transport } = options;
  const pending = new Set<Pending>();
  const held = new Set<Pending>();
  /** By the echo's event and the subject's id: no two commands with the same subject are in flight together. */
  const awaited = new Map<string, { echo: Echo; sends: Map<string, Pending> }>();
  /** Echoes that came with the id of their command: without one, such a broadcast answers another client. */
  const withIds = new Set<string>();
  const takesAcks = (event: string) => modeOf(event) === "auto" || modeOf(event) === "ack";
  const takesEchoes = (event: string) => modeOf(event) === "auto" || modeOf(event) === "echo";

  /** A CAD that acks one event is taken to ack them all, until it is silent about one for a whole wait. */
  const anyHabit = () => [...habits.values()].find((habit) => habit === "acks");

  /** True if this CAD is to say that it handled the event: then silence is not a proof of anything. */
  function expectsWord(delivery: Delivery): boolean {
    const mode = modeOf(delivery.event);
    if (mode === "ack") return true;
    if (takesEchoes(delivery.event) && delivery.echo) return true;
    return mode === "auto" && (habits.get(delivery.event) ?? anyHabit()) === "acks";
  }

  function onAck(send: Pending, error: Error | null, answer: unknown): void {
    if (error) {
      send.silent = true;
      if (expectsWord(send)) proveReceipt(send, "unconfirmed");
      if (!habits.has(send.event)) habits.set(send.event, "silent");
      return;
    }
    habits.set(send.event, "acks");
    const ack = parseAck(answer, send.payload);
    if (ack.verdict === "yes") send.settle({ result: "confirmed", by: "ack" });
    else send.settle({ result: ack.again ? "refused" : "rejected", reason: ack.reason });
  }

  function proveReceipt(send: Pending, result: "received" | "unconfirmed"): void {
    void barriers
      .proof()
      .then(() => (result === "unconfirmed" ? send.settle({ result, by: "barrier" }) : receivedAfter(send, holdMs)));
  }

  /** Receipt is no order: the CAD's handlers run concurrently, so the next of its queues is held back a little longer. */
  function receivedAfter(send: Pending, ms: number): void {
    if (ms === 0) send.settle({ result: "received", by: "barrier" });
    else setTimeout(() => send.settle({ result: "received", by: "barrier" }), ms);
  }

  /** No word is to be expected: the barrier is the proof, after a little grace for a CAD that may turn out to ack. */
  function proveWithoutWord(send: Pending): void {
    if (modeOf(send.event) !== "auto" || habits.has(send.event)) return proveReceipt(send, "received");
    void barriers.proof().then(() =>
      setTimeout(() => {
        if (expectsWord(send) && !send.silent) return;
        if (!habits.has(send.event)) habits.set(send.event, "silent");
        receivedAfter(send, Math.max(0, holdMs - FIRST_ACK_GRACE_MS));
      }, FIRST_ACK_GRACE_MS),
    );
  }

  function awaitEcho(send: Pending, echo: Echo): () => void {
    const [subject] = echo.fields;
    const { sends } = awaited.get(echo.event) ?? { sends: new Map<string, Pending>() };
    awaited.set(echo.event, { echo, sends });
    const id = String(valueAt(send.payload, subject));
    sends.set(id, send);
    return () => {
      if (sends.get(id) === send) sends.delete(id);
    };
  }

  function confirmResent(send: Pending): string {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, RESENT_HOLD_MS);
    const over = () => {
      clearTimeout(timer);
      held.delete(send);
      send.forgetEcho?.();
    };
    const through = promise.then(over);
    send.through = { resolve };
    held.add(send);
    send.settle({ result: "confirmed", by: "echo", through });
    return send.commandId;
  }

  return {
    send(delivery) {
      return new Promise<SendResult>((resolve) => {
        let settled = false;
        let timer: NodeJS.Timeout | undefined;
        const ms = delivery.confirmMs ?? timeoutMs;
        const send: Pending = {
          ...delivery,
          echoes: 0,
          silent: false,
          settle(outcome) {
            if (settled) return;
            settled = true;
            clearTimeout(timer);
            pending.delete(send);
            if (!send.through) send.forgetEcho?.();
            resolve(outcome);
          },
        };
        pending.add(send);
        if (takesEchoes(delivery.event) && delivery.echo) send.forgetEcho = awaitEcho(send, delivery.echo);

        if (takesAcks(delivery.event)) {
          const ack = { ackMs: ms, answered: onAck.bind(undefined, send) };
          transport.emit(delivery.event, delivery.payload, ack);
        } else {
          transport.emit(delivery.event, delivery.payload);
          if (expectsWord(delivery)) timer = setTimeout(() => proveReceipt(send, "unconfirmed"), ms);
        }
        if (!expectsWord(delivery)) proveWithoutWord(send);
      });
    },

    onBroadcast(event, payload) {
      const waiting = awaited.get(event);
      const subject = waiting && subjectOf(waiting.echo, payload);
      // What the CAD sends is not trustworthy: an object here may even throw when it is made a text.
      if (typeof subject !== "string" && typeof subject !== "number") return undefined;
      const send = waiting?.sends.get(String(subject));
      const hasId = typeof valueAt(payload, "context.commandId") === "string";
      if (!hasId && withIds.has(event)) return undefined;
      if (!send?.echo || !isEchoOf(send.echo, send.payload, payload, send.commandId)) return undefined;
      if (hasId) withIds.add(event);
      send.echoes += 1;
      if (send.echoes >= (send.sends ?? 1)) send.through?.resolve();
      else if (!send.through) return confirmResent(send);
      send.settle({ result: "confirmed", by: "echo" });
      return send.commandId;
    },

    inFlight: () => pending.size,
    end() {
      for (const send of pending) send.settle({ result: "disconnected" });
      for (const send of held) send.through?.resolve();
    },
  };
}
