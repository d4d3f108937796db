import { io, type Socket } from "socket.io-client";

/** A client of the CAD that records what it receives: an MDT, a dashboard, or a bridge driven by the test. */
export interface Probe {
  socket: Socket;
  /** The payloads of an event, in order of arrival. */
  heard(event: string): unknown[];
  /** The reasons of the disconnects so far. */
  disconnects: string[];
  /** The messages of the handshakes that failed so far. */
  refusals: string[];
  close(): void;
  /** Drops the connection without a close packet, as a killed process does. Websocket transport only. */
  kill(): void;
}

export interface ProbeOptions {
  /** Omitted: connects without a token. */
  token?: string;
  transports?: ("polling" | "websocket")[];
  reconnection?: boolean;
}

/** Starts connecting; wait with `until(() => probe.socket.connected)`. */
export function openProbe(url: string, { token, transports, reconnection }: ProbeOptions = {}): Probe {
  const socket = io(url, {
    auth: token === undefined ? {} : { token },
    transports: transports ?? ["websocket"],
    reconnection: reconnection ?? true,
    reconnectionDelay: 20,
    reconnectionDelayMax: 50,
    forceNew: true,
  });
  const payloads = new Map<string, unknown[]>();
  const heard = (event: string) => {
    const list = payloads.get(event) ?? [];
    payloads.set(event, list);
    return list;
  };
  const probe: Probe = {
    socket,
    heard,
    disconnects: [],
    refusals: [],
    close: () => void socket.disconnect(),
    kill() {
      // Private in engine.io-client, whose own close sends a close packet.
      (socket.io.engine.transport as unknown as { ws: { terminate(): void } }).ws.terminate();
    },
  };
  socket.onAny((event: string, payload: unknown) => heard(event).push(payload));
  socket.on("disconnect", (reason) => probe.disconnects.push(reason));
  socket.on("connect_error", (error) => probe.refusals.push(error.message));
  return probe;
}
