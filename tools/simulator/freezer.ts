import type { Socket as TcpSocket } from "node:net";
import type { Server } from "socket.io";

/** The fields of engine.io's socket that run its heartbeat. They are private, but there is no other way to stop it. */
interface Heartbeat {
  pingIntervalTimer: NodeJS.Timeout | null;
  pingTimeoutTimer: NodeJS.Timeout | null;
  schedulePing(): void;
  once(event: "close", listener: () => void): void;
}

/**
 * Makes the CAD hang like a stopped process: TCP connections stay open and the kernel still accepts bytes, but nothing
 * is read or written and no timer fires. Input received meanwhile is handled on resume. Only Socket.io connections
 * hang, so that the control API can end it.
 */
export class Freezer {
  #frozen = false;
  #held: (() => void)[] = [];
  #heldWrites: (() => void)[] = [];
  readonly #sockets = new Set<TcpSocket>();
  readonly #heartbeats = new Set<Heartbeat>();

  constructor(io: Server) {
    io.engine.on("connection", (client: Heartbeat) => {
      this.#heartbeats.add(client);
      client.once("close", () => this.#heartbeats.delete(client));
    });
  }

  /** Adds a connection that hangs with the CAD. A connection made while it hangs waits in `whenAwake`. */
  add(socket: TcpSocket): void {
    if (this.#sockets.has(socket) || socket.destroyed) return;
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    this.#holdWrites(socket);
  }

  /** Runs it at once or, while the CAD hangs, when it resumes. */
  whenAwake(run: () => void): void {
    if (this.#frozen) this.#held.push(run);
    else run();
  }

  set(frozen: boolean): void {
    if (frozen === this.#frozen) return;
    this.#frozen = frozen;
    if (frozen) {
      for (const { pingIntervalTimer, pingTimeoutTimer } of this.#heartbeats) {
        clearTimeout(pingIntervalTimer ?? undefined);
        clearTimeout(pingTimeoutTimer ?? undefined);
      }
      for (const socket of this.#sockets) freeze(socket);
    } else {
      for (const heartbeat of this.#heartbeats) heartbeat.schedulePing();
      for (const run of this.#held.splice(0)) run();
      for (const socket of this.#sockets) socket.resume();
      // Read first: a write to a client that has gone would end the connection with its last emits unread.
      setImmediate(() => setImmediate(() => this.#write()));
    }
  }

  /** Cuts every Socket.io connection without a close packet, as a network fault does. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Works below the stream's buffer, because a response that ends undoes `cork`. Holds one write per socket. */
  #holdWrites(socket: TcpSocket): void {
    /* oxlint-disable no-underscore-dangle -- so Node calls what a stream's implementer provides */
    const write = socket._write.bind(socket);
    const writev = socket._writev?.bind(socket);
    const hold = (run: () => void) => {
      if (this.#frozen || this.#heldWrites.length > 0) this.#heldWrites.push(run);
      else run();
    };
    socket._write = (chunk, encoding, callback) => hold(() => write(chunk, encoding, callback));
    if (writev) socket._writev = (chunks, callback) => hold(() => writev(chunks, callback));
  }

  #write(): void {
    if (this.#frozen) return;
    for (const run of this.#heldWrites.splice(0)) run();
  }
}

function freeze(socket: TcpSocket): void {
  socket.setTimeout(0);
  socket.pause();
}
