import { Manager, type Socket } from "socket.io-client";

/** What happens on the line to the CAD. */
export interface TransportEvents {
  connected(recovered: boolean): void;
  /** It could not connect, or the CAD refused the token. */
  refused(reason: string): void;
  disconnected(reason: string): void;
  /**
   * Answers true once the event is safe: only then is it acked, if the CAD asked for an ack.
   * `missed`: the CAD sent it before, on a line that was broken, and recovers it.
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
  /** Asks something that any Socket.io server answers in the order of what was sent before. One at a time. */
  barrier(answered: () => void): void;
  /** Closes the connection at once. It may connect again, and a CAD that recovers sends what was missed until then. */
  close(): void;
  /** The same for good: the CAD need not keep anything for it. */
  leave(): void;
}

/** How long a handshake may take, ms. */
const CONNECT_TIMEOUT_MS = 5000;
/** No CAD serves a namespace of this name, so that it refuses it: that refusal is the barrier's answer. */
const BARRIER_NAMESPACE = "/socket-bridge-barrier";

/**
 * The line to the CAD; this file is the only one that knows socket.io-client. It never reconnects by itself and is
 * never given anything to send while it is down: socket.io-client would buffer that without bound, and flush it
 * before the bridge has authenticated.
 */
export function createTransport(url: string, on: TransportEvents): Transport {
  const { origin, pathname } = new URL(url);
  const manager = new Manager(origin, {
    reconnection: false,
    autoConnect: false,
    timeout: CONNECT_TIMEOUT_MS,
    transports: ["websocket", "polling"],
    tryAllTransports: true,
  });
  const handshake = { token: "" };
  const socket: Socket = manager.socket(pathname, { auth: (send) => send(handshake) });
  const barrier = manager.socket(BARRIER_NAMESPACE);
  let barrierAnswered: (() => void) | undefined;

  // What a CAD recovers comes before it says that the line is open: socket.io-client hands it over right before `connect`.
  let open = false;
  socket.on("connect", () => {
    open = true;
    on.connected(socket.recovered);
  });
  socket.on("connect_error", (error) => on.refused(error.message));
  socket.on("disconnect", (reason) => {
    // The next connection must not answer for this one.
    open = false;
    barrierAnswered = undefined;
    barrier.disconnect();
    on.disconnected(reason);
  });
  socket.onAny((name: unknown, payload: unknown, ...more: unknown[]) => {
    const ack = [payload, ...more].at(-1);
    const given = payload === ack && typeof ack === "function" ? undefined : payload;
    const safe = on.event(String(name), given, !open && socket.recovered);
    if (typeof ack === "function") void safe.then((inJournal) => inJournal && (ack as () => void)());
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
      handshake.token = token;
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
      // A socket that disconnects says goodbye, and the CAD forgets its session: so the line below it is closed instead.
      closeLine(manager);
    },
    leave() {
      barrierAnswered = undefined;
      barrier.disconnect();
      socket.disconnect();
    },
  };
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

/** What a line that breaks does: every socket on it is told. The method is public in the library's types, and not in its docs. */
function closeLine(manager: Manager): void {
  // oxlint-disable-next-line no-underscore-dangle
  manager._close();
}
