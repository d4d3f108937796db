import { Manager, type Socket } from "socket.io-client";
import { type CadEndpoint, COMPRESS_FROM, MAX_EARLY_BYTES } from "./endpoint.ts";
import { createEngineTransports, type Handshake, type TransportName } from "./engine.ts";
import { faultOf, FrameError, type ConnectionFault, MAX_FRAME_BYTES, oneLine } from "./connection-fault.ts";

/** What happens on the connection to the CAD. */
export interface TransportEvents {
  connected(recovered: boolean): void;
  /** It could not connect, or the CAD refused the token. */
  refused(reason: string): void;
  disconnected(reason: string): void;
  /**
   * Resolves to true once the event is stored: only then is it acked, if the CAD asked for an ack.
   * `missed`: the CAD recovers it after the previous connection was lost.
   */
  event(name: string, payload: unknown, missed: boolean): Promise<boolean>;
}

export interface Transport {
  /** @param token what the handshake shows to the CAD */
  connect(token: string): void;
  /** Sends an event. `answered` is called once: with the CAD's ack, or with an error if none came within `ackMs`. */
  emit(
    event: string,
    payload: unknown,
    ack?: { ackMs: number; answered(error: Error | null, answer: unknown): void },
  ): void;
  /** Sends a request that any Socket.io server answers after everything sent before. One at a time. */
  barrier(answered: () => void): void;
  /** Closes the connection at once. It may connect again, and a CAD that recovers sends what was missed until then. */
  close(): void;
  /** Closes it for good: the CAD need not keep anything for it. */
  leave(): void;
}

/** What is known of the connection beside its events. */
export interface ConnectionInfo {
  /** Why the last connection failed or ended; undefined while one is open. */
  fault(): ConnectionFault | undefined;
  /** What the server reported in the handshake of the last connection. */
  handshake(): Handshake | undefined;
  /** What carries the connection; undefined while there is none. */
  via(): string | undefined;
}

type Packet = Parameters<Socket["io"]["_packet"]>[0];

/** How long a handshake may take, ms. */
const CONNECT_TIMEOUT_MS = 5000;
/** No CAD serves a namespace of this name, so it refuses it: that refusal is the barrier's answer. */
const BARRIER_NAMESPACE = "/socket-bridge-barrier";
/** Socket.IO's packet type for a refusal. */
const CONNECT_ERROR = 4;

/**
 * The connection to the CAD; the only file that knows socket.io-client. It never reconnects by itself and is never given
 * anything to send while it is down: socket.io-client would buffer that without bound, and flush it before the bridge
 * has authenticated. Whatever the CAD sends, nothing throws into the event loop: it ends the connection.
 */
export function createTransport(endpoint: CadEndpoint, on: TransportEvents): Transport & ConnectionInfo {
  const { origin, pathname } = new URL(endpoint.url);
  const faults = new Map<TransportName, ConnectionFault>();
  let ending: ConnectionFault | undefined;
  let handshake: Handshake | undefined;
  let early = 0;
  // What a CAD recovers comes before the connection is open: socket.io-client delivers it right before `connect`.
  let open = false;

  const { tls = {}, headers = {}, transports = ["websocket", "polling"], compressFrom = COMPRESS_FROM } = endpoint;
  const engines = createEngineTransports(
    {
      handshake: (received) => void (handshake = received),
      fault: (transport, fault) => void faults.set(transport, fault),
      received(size) {
        if (open) return;
        early += size;
        if (early > MAX_EARLY_BYTES) throw new FrameError("too much before the connection is open", "frame-too-large");
      },
    },
    tls,
    headers,
  );
  const manager = new Manager(origin, {
    reconnection: false,
    autoConnect: false,
    timeout: CONNECT_TIMEOUT_MS,
    path: endpoint.path ?? "/socket.io",
    transports: transports.map((name) => engines[name]),
    tryAllTransports: true,
    ...(endpoint.query && { query: endpoint.query }),
    ...(Object.keys(headers).length > 0 && { extraHeaders: headers }),
    ...tls,
    // Counts what a compressed frame becomes, too.
    ...{ maxPayload: MAX_FRAME_BYTES },
    // `false` is missing in the types alone: it is handed on to the WebSocket.
    ...({ perMessageDeflate: compressFrom > 0 && { threshold: compressFrom } } as object),
  });
  const shown = { token: "" };
  const socket: Socket = manager.socket(pathname, { auth: (send) => send(shown) });
  const barrier = manager.socket(BARRIER_NAMESPACE);
  let barrierAnswered: (() => void) | undefined;

  /** What the transports reported, each reason once. */
  function connectionFault(): ConnectionFault | undefined {
    const all = [...new Map([...faults.values()].map((fault) => [fault.reason, fault])).values()];
    const worst =
      all.find((fault) => fault.code === "unreadable-frame" || fault.code === "frame-too-large") ?? all.at(-1);
    const reason = all.map((fault) => fault.reason).join("; ");
    return worst && { code: worst.code, reason: handshake ? reason : notSocketIo(all, reason) };
  }
  function handled(error: unknown): void {
    const { name } = error instanceof Error ? error : { name: typeof error };
    ending ??= faultOf(error instanceof FrameError ? error : new FrameError(`it cannot be handled (${name})`));
    closeConnection(manager);
  }
  guardPackets(socket, handled);
  guardPackets(barrier, handled);

  socket.on("connect", () => {
    open = true;
    on.connected(socket.recovered);
  });
  socket.on("connect_error", (error) => {
    ending ??= refusal(error, connectionFault());
    on.refused(ending.reason);
  });
  socket.on("disconnect", (reason) => {
    // The next connection must not be taken for this one.
    open = false;
    barrierAnswered = undefined;
    barrier.disconnect();
    ending ??= connectionFault() ?? endOf(reason);
    on.disconnected(ending.reason);
  });
  socket.onAny((name: unknown, payload: unknown, ...more: unknown[]) => {
    const ack = [payload, ...more].at(-1);
    const given = payload === ack && typeof ack === "function" ? undefined : payload;
    const safe = on.event(String(name), given, !open && socket.recovered);
    safe.then((inJournal) => inJournal && typeof ack === "function" && (ack as () => void)()).catch(handled);
  });

  const answer = () => {
    const answered = barrierAnswered;
    barrierAnswered = undefined;
    if (socket.connected) answered?.();
  };
  barrier.on("connect_error", answer);
  barrier.on("connect", () => {
    barrier.disconnect();
    answer();
  });

  return {
    connect(token) {
      shown.token = token;
      faults.clear();
      [ending, handshake, early] = [undefined, undefined, 0];
      if (socket.recovered) forgetSession(socket);
      socket.connect();
    },
    emit(event, payload, ack) {
      if (!socket.connected) return ack?.answered(new Error("not connected"), undefined);
      if (ack) socket.timeout(ack.ackMs).emit(event, payload, ack.answered);
      else socket.emit(event, payload);
    },
    barrier(answered) {
      barrierAnswered = answered;
      barrier.connect();
    },
    close() {
      barrierAnswered = undefined;
      barrier.disconnect();
      // On a regular disconnect the CAD forgets the session: so the connection below the socket is closed instead.
      closeConnection(manager);
      forgetEarly(socket);
    },
    leave() {
      barrierAnswered = undefined;
      barrier.disconnect();
      socket.disconnect();
      forgetEarly(socket);
    },
    fault: () => ending,
    handshake: () => handshake,
    via: () => (open ? manager.engine.transport.name : undefined),
  };
}

/** What answers HTTP, and does not begin as Socket.IO does, is another kind of server. */
function notSocketIo(all: readonly ConnectionFault[], reason: string): string {
  const strange = all.some(({ code, reason: one }) => code === "unreadable-frame" || /HTTP (?:2\d\d|404)$/.test(one));
  return strange ? `what answers is not a Socket.IO server (${reason})` : reason;
}

/** Why a connection could not be opened. */
function refusal(error: Error, fault: ConnectionFault | undefined): ConnectionFault {
  if (fault) return fault;
  if (error.message === "timeout")
    return { code: "timeout", reason: `the CAD did not answer within ${CONNECT_TIMEOUT_MS} ms (timeout)` };
  const words = oneLine(error.message);
  return { code: "refused", reason: words || "the CAD refused the connection and gave no reason" };
}

function endOf(reason: string): ConnectionFault {
  // The transports report their own errors: without one, it was a packet that the library could not read.
  if (reason === "parse error" || reason === "transport error") return faultOf(new FrameError(reason));
  return { code: reason === "ping timeout" ? "timeout" : "ended", reason };
}

/**
 * The library handles a packet where nobody catches what it throws. A refusal is what it reads with the least care: it
 * may be a text (python-socketio), nothing, or an object whose message is no text.
 */
function guardPackets(socket: Socket, failed: (error: unknown) => void): void {
  // oxlint-disable-next-line typescript/dot-notation
  const handle = socket["onpacket"].bind(socket);
  // oxlint-disable-next-line typescript/dot-notation
  socket["onpacket"] = (packet: Packet) => {
    // What was read right before the end is handled after it: it would leave the socket connected to nothing, for ever.
    // oxlint-disable-next-line no-underscore-dangle
    if (socket.io._readyState !== "open") return;
    try {
      if (Number(packet.type) !== CONNECT_ERROR) return handle(packet);
      // The library would let go of the connection and still call the socket connected: it would never connect again.
      // oxlint-disable-next-line typescript/dot-notation
      if (packet.nsp === socket["nsp"] && socket.connected) throw new FrameError("a refusal on an open connection");
      handle({ ...packet, data: { message: refusalText(packet.data) } });
    } catch (error) {
      failed(error);
    }
  };
}

function refusalText(data: unknown): string {
  const message = typeof data === "object" && data !== null && "message" in data ? data.message : data;
  return typeof message === "string" ? message : "";
}

/** What came before the connection was open is kept by the library for the next one, without bound. */
function forgetEarly(socket: Socket): void {
  socket.receiveBuffer = [];
}

/**
 * A session is recovered once: the CAD keeps it from its first end on, and so recovers it a second time before it has heard of
 * the end of the line between. When it does, it takes every room away from the socket's id, which the new line has as well: nothing
 * that is broadcast would come there any more, while acks and barriers go on (socket.io 4.8.4, measured).
 */
function forgetSession(socket: Socket): void {
  // oxlint-disable-next-line typescript/dot-notation, no-underscore-dangle
  socket["_pid"] = undefined;
}

/** What a line that breaks does: every socket on it is notified. The method is public in the library's types, and not in its docs. */
function closeConnection(manager: Manager): void {
  // oxlint-disable-next-line no-underscore-dangle
  manager._close();
}
