import { createServer, type IncomingMessage, type RequestListener, Server as HttpServer } from "node:http";
import type { AddressInfo, Socket as TcpSocket } from "node:net";
import type { Duplex } from "node:stream";
import { Server, type Socket } from "socket.io";
import { Freezer } from "./freezer.ts";
import { createReceiver, type ReceiverDeps } from "./receive.ts";

/** Time limit for all clients to ack a broadcast, ms. */
const ASK_MS = 5000;

/** One lifetime of the CAD's process, from listening to its end, with its connections and rooms. */
export interface Life {
  port: number;
  freezer: Freezer;
  connections(): number;
  /** How often it buffered missed packets for a client that vanished without closing. */
  sessionsKept(): number;
  broadcast(event: string, payload: unknown, room?: string): void;
  /** Broadcasts and asks for acks; resolves with those that arrive in time. */
  ask(event: string, payload: unknown): Promise<unknown[]>;
  /** Cuts every connection, aborts work in progress and frees the port. Idempotent. */
  end(): Promise<void>;
}

export interface LifeDeps extends Omit<ReceiverDeps, "later" | "broadcast"> {
  host: string;
  port: number;
  pingInterval: number;
  pingTimeout: number;
  /** Bytes; the CAD drops a connection that sends a larger packet. */
  maxPayload: number;
  /** Handles requests below /simulator. */
  control: RequestListener;
  /** Returns the number of the next connection. */
  nextConnection(): number;
}

/** Starts listening; the error names the unavailable port and a hint. */
export async function startLife(deps: LifeDeps): Promise<Life> {
  let dead = false;
  let ending: Promise<void> | undefined;
  const { character, switches } = deps;
  // Never listens itself: requests reach it through the server below, which may delay them.
  const behind = new HttpServer();
  const io = new Server(behind, {
    serveClient: false,
    pingInterval: deps.pingInterval,
    pingTimeout: deps.pingTimeout,
    maxHttpBufferSize: deps.maxPayload,
    // Recovery must not bypass the token check.
    ...(character.recoveryMs > 0 && {
      connectionStateRecovery: { maxDisconnectionDuration: character.recoveryMs, skipMiddlewares: false },
    }),
  });
  const freezer = new Freezer(io);
  freezer.set(switches.hang);

  /** A CAD with replay also remembers what it broadcast while no client was connected or its process was dead. */
  const marked = (event: string, payload: unknown, room?: string) =>
    character.replays ? deps.database.history.add(event, payload, room, Date.now(), switches.remembers) : payload;
  const broadcast: Life["broadcast"] = (event, payload, room) => {
    const sent = marked(event, payload, room);
    if (!dead) (room === undefined ? io : io.to(room)).emit(event, sent);
  };
  const { adapter } = io.of("/");
  const persist = adapter.persistSession.bind(adapter);
  let sessionsKept = 0;
  adapter.persistSession = (session) => {
    if (!switches.remembersSessions) return;
    sessionsKept += 1;
    persist(session);
  };

  const receive = createReceiver({
    ...deps,
    broadcast,
    later(ms, run) {
      const wake = () => freezer.whenAwake(() => void (dead || run()));
      if (ms < 1) setImmediate(wake);
      else setTimeout(wake, ms).unref();
    },
  });

  io.use((socket, next) => {
    const token: unknown = socket.handshake.auth["token"];
    const accepted = !token || (token === deps.token() && !switches.refuseToken);
    next(accepted ? undefined : new Error("Authentication failed"));
  });
  io.on("connection", (socket: Socket) => {
    const connection = deps.nextConnection();
    socket.onAny((event: string, ...args: unknown[]) => {
      if (!dead && socket.connected) receive(socket, connection, event, args);
    });
  });

  const everySocket = new Set<TcpSocket>();
  const server = createServer();
  server.on("connection", (socket: TcpSocket) => {
    everySocket.add(socket);
    socket.once("close", () => everySocket.delete(socket));
    socket.on("error", () => undefined); // a client that vanished; "close" follows
  });
  /** Passes a request to Socket.io, now or when the CAD resumes. */
  const handOver = (request: IncomingMessage, run: () => void) => {
    freezer.add(request.socket);
    freezer.whenAwake(() => void (dead || request.socket.destroyed || run()));
  };
  server.on("request", (request, response) => {
    if (request.url?.startsWith("/socket.io/")) handOver(request, () => behind.emit("request", request, response));
    else deps.control(request, response);
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    handOver(request, () => behind.emit("upgrade", request, socket, head));
  });
  await listen(server, deps.port, deps.host);

  return {
    port: (server.address() as AddressInfo).port,
    freezer,
    connections: () => io.engine.clientsCount,
    sessionsKept: () => sessionsKept,
    broadcast,
    ask: async (event, payload) => (await io.timeout(ASK_MS).emitWithAck(event, marked(event, payload))) as unknown[],
    end: () =>
      (ending ??= (async () => {
        dead = true;
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        for (const socket of everySocket) socket.destroy();
        await Promise.all([closed, io.close()]);
      })()),
  };
}

function listen(server: HttpServer, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why: Record<string, string> = {
        EADDRINUSE: `port ${port} is taken: stop what listens there, or choose another port`,
        EADDRNOTAVAIL: `${host} is not an address of this machine: choose another host`,
        ENOTFOUND: `${host} is an unknown host: choose another host`,
        EACCES: `port ${port} needs more rights: choose one above 1023`,
      };
      reject(new Error(why[error.code ?? ""] ?? `can't listen on ${host}, port ${port}`, { cause: error }));
    });
    server.listen(port, host, resolve);
  });
}
