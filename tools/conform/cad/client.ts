import type { Handshake } from "../../../worker/cad/engine.ts";
import type { CadEndpoint } from "../../../worker/cad/endpoint.ts";
import type { ConnectionFault } from "../../../worker/cad/connection-fault.ts";
import { createTransport, type Transport } from "../../../worker/cad/transport.ts";
import { withDeadline } from "../../../shared/util/sleep.ts";

/** Time limit of a connection attempt, ms. */
const CONNECT_MS = 7000;
/** A null payload of these crashes the existing CAD. */
const NEVER_NULL = new Set(["fastapi:authenticate", "assignment:sent"]);

export interface ReceivedEvent {
  event: string;
  payload: unknown;
  /** ms, as of performance.now(). */
  at: number;
}

/** One connection to the CAD under test. Every wait has a deadline. */
export interface CadClient {
  readonly handshake: Handshake | undefined;
  readonly via: string | undefined;
  readonly recovered: boolean;
  /** Every event received so far. */
  readonly heard: readonly ReceivedEvent[];
  /** Resolves with the ack, or undefined if none arrived in time. */
  ask(event: string, payload: unknown, ms: number): Promise<{ answer: unknown } | undefined>;
  emit(event: string, payload: unknown): void;
  /** The first matching event from index `from` of `heard` on; undefined if none arrived in time. */
  hear(fits: (heard: ReceivedEvent) => boolean, ms: number, from?: number): Promise<ReceivedEvent | undefined>;
  /** True once the server has proven that it received everything sent so far. */
  barrier(ms: number): Promise<boolean>;
  /** Drops the connection as a network fault does. The client can connect again. */
  cut(): void;
  connect(): Promise<void>;
  leave(): void;
}

/** The connection to the CAD failed. */
export class NoConnection extends Error {
  override name = "NoConnection";
  readonly fault: ConnectionFault;
  constructor(fault: ConnectionFault) {
    super(fault.reason);
    this.fault = fault;
  }
}

export function createCadClient(endpoint: CadEndpoint, token: string, signal: AbortSignal): CadClient {
  const heard: ReceivedEvent[] = [];
  const listeners = new Set<(heard: ReceivedEvent) => void>();
  let connecting = Promise.withResolvers<boolean>();
  let recovered = false;
  const fail = (reason: string) =>
    connecting.reject(new NoConnection(transport.fault() ?? { code: "other", reason: withoutToken(reason, token) }));
  const transport = createTransport(endpoint, {
    connected: (again) => connecting.resolve((recovered = again)),
    refused: fail,
    disconnected: fail,
    async event(event, payload) {
      const one = { event, payload, at: performance.now() };
      heard.push(one);
      for (const listener of listeners) listener(one);
      return false;
    },
  });
  signal.addEventListener("abort", () => transport.leave(), { once: true });

  return {
    get handshake() {
      return transport.handshake();
    },
    get via() {
      return transport.via();
    },
    get recovered() {
      return recovered;
    },
    heard,
    async connect() {
      signal.throwIfAborted();
      connecting = Promise.withResolvers<boolean>();
      connecting.promise.catch(() => undefined);
      transport.connect(token);
      await withDeadline(connecting.promise, CONNECT_MS, "connecting to the CAD").catch((error: unknown) => {
        transport.close();
        if (error instanceof NoConnection) throw error;
        throw new NoConnection({ code: "timeout", reason: `the CAD did not answer within ${CONNECT_MS} ms` });
      });
    },
    emit(event, payload) {
      if (payload == null && NEVER_NULL.has(event)) throw new TypeError(`${event} must not be sent with null`);
      signal.throwIfAborted();
      transport.emit(event, payload);
    },
    ask(event, payload, ms) {
      if (payload == null && NEVER_NULL.has(event)) throw new TypeError(`${event} must not be sent with null`);
      signal.throwIfAborted();
      return new Promise((resolve) => {
        transport.emit(event, payload, {
          ackMs: ms,
          answered: (error, answer) => resolve(error ? undefined : { answer }),
        });
      });
    },
    hear(fits, ms, from = 0) {
      const already = heard.slice(from).find(fits);
      if (already) return Promise.resolve(already);
      return new Promise((resolve) => {
        const done = (found: ReceivedEvent | undefined) => {
          clearTimeout(timer);
          listeners.delete(listener);
          resolve(found);
        };
        const listener = (one: ReceivedEvent) => void (fits(one) && done(one));
        const timer = setTimeout(() => done(undefined), ms);
        listeners.add(listener);
      });
    },
    async barrier(ms) {
      // Two in a row: a process that crashes in a handler can still answer one.
      return await withDeadline(
        once(transport).then(() => once(transport)),
        ms,
        "the barrier",
      ).catch(() => false);
    },
    cut: () => transport.close(),
    leave: () => transport.leave(),
  };
}

const once = (transport: Transport) => new Promise<true>((resolve) => transport.barrier(() => resolve(true)));

const withoutToken = (reason: string, token: string) => (token ? reason.replaceAll(token, "…") : reason);
