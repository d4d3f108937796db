import { NodeWebSocket, NodeXHR } from "engine.io-client";
import { exchange, type ClientTls } from "./http-exchange.ts";
import { faultOf, FrameError, type ConnectionFault, MAX_FRAME_BYTES } from "./connection-fault.ts";

/** The handshake of an Engine.IO server; times in ms, sizes in bytes. */
export interface Handshake {
  sid: string;
  upgrades: string[];
  pingInterval: number;
  pingTimeout: number;
  /** The most that it takes in one message. */
  maxPayload: number | undefined;
}

export type TransportName = "websocket" | "polling";

export interface EngineEvents {
  handshake(handshake: Handshake): void;
  /** Counts received characters or bytes. Throws if there are too many. */
  received(size: number): void;
  fault(transport: TransportName, fault: ConnectionFault): void;
}

const HOUR_MS = 3_600_000;
const LONGEST_SID = 200;
const MOST_UPGRADES = 10;

const no = (what: string) => new FrameError(`a handshake ${what}`);

/** Reads the handshake. Throws FrameError: the library takes it unchecked, and is ended by what does not fit. */
export function readHandshake(data: unknown): Handshake {
  let read: unknown;
  try {
    read = JSON.parse(String(data));
  } catch {
    throw no("that is no JSON");
  }
  if (typeof read !== "object" || read === null) throw no("that is no object");
  const { sid, upgrades, pingInterval, pingTimeout, maxPayload } = read as Record<string, unknown>;
  if (typeof sid !== "string" || sid === "" || sid.length > LONGEST_SID) throw no("without a session id");
  if (!Array.isArray(upgrades) || upgrades.length > MOST_UPGRADES) throw no("without upgrades");
  if (!upgrades.every((name) => typeof name === "string")) throw no("with an upgrade that is no name");
  if (!isTime(pingInterval) || !isTime(pingTimeout)) throw no("without pingInterval and pingTimeout");
  if (maxPayload !== undefined && !isSize(maxPayload)) throw no("with a maxPayload that is no size");
  return { sid, upgrades: [...new Set(upgrades)], pingInterval, pingTimeout, maxPayload };
}

const isTime = (value: unknown): value is number => typeof value === "number" && value > 0 && value <= HOUR_MS;
const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0;

type Packet = Parameters<NodeWebSocket["onPacket"]>[0];

/** One of each connection: sees every packet before the library does. */
function createCheck(on: EngineEvents): (packet: Packet) => Packet {
  let began = false;
  return (packet) => {
    if (packet.type !== "open") return packet;
    if (began) throw new FrameError("a second handshake");
    began = true;
    const handshake = readHandshake(packet.data);
    on.handshake(handshake);
    return { ...packet, data: JSON.stringify(handshake) };
  };
}

const sizeOf = (data: unknown): number => {
  if (typeof data === "string") return data.length;
  return (data as { byteLength?: number } | undefined)?.byteLength ?? 0;
};

/**
 * The library's two transports, where nothing that comes in can throw into the event loop: it ends the connection
 * instead. This file is the only one that knows engine.io-client.
 */
export function createEngineTransports(on: EngineEvents, tls: ClientTls, headers: Record<string, string>) {
  class GuardedWebSocket extends NodeWebSocket {
    readonly #check = createCheck(on);
    override onData(data: Parameters<NodeWebSocket["onData"]>[0]): void {
      try {
        on.received(sizeOf(data));
        super.onData(data);
      } catch (error) {
        this.onError("unreadable frame", error);
      }
    }
    override onPacket(packet: Packet): void {
      super.onPacket(this.#check(packet));
    }
    override onError(reason: string, description: unknown, context?: unknown): this {
      // What `ws` reports is an event with the error in it.
      const error = (description as { error?: unknown } | undefined)?.error ?? description;
      on.fault("websocket", faultOf(error));
      return super.onError(reason, description, context);
    }
  }

  /** HTTP long-polling with answers of a bounded size; the library's own reads whatever comes. */
  class GuardedPolling extends NodeXHR {
    readonly #check = createCheck(on);
    readonly #closed = new AbortController();
    override doPoll(): void {
      void this.#send("GET").then(
        (body) => this.#take(body),
        (error: unknown) => this.#failed(error),
      );
    }
    override doWrite(data: string, written: () => void): void {
      // The last request says goodbye: closing must not abort it.
      void this.#send("POST", data).then(written, (error: unknown) => this.#failed(error));
    }
    override doClose(): void {
      super.doClose();
      this.#closed.abort();
    }
    override onPacket(packet: Packet): void {
      super.onPacket(this.#check(packet));
    }
    #send(method: "GET" | "POST", body?: string): Promise<string> {
      const signal = method === "GET" ? this.#closed.signal : undefined;
      return exchange(new URL(this.uri()), { method, body, headers, tls, signal, maxBytes: MAX_FRAME_BYTES });
    }
    #take(body: string): void {
      if (this.#closed.signal.aborted) return;
      try {
        on.received(body.length);
        this.onData(body);
      } catch (error) {
        this.#failed(error);
      }
    }
    #failed(error: unknown): void {
      if (this.#closed.signal.aborted) return;
      on.fault("polling", faultOf(error));
      this.onError("polling failed", error);
    }
  }
  return { websocket: GuardedWebSocket, polling: GuardedPolling };
}
