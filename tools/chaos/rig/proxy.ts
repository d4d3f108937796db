import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export type Direction = "to-server" | "to-client";
const BOTH: readonly Direction[] = ["to-server", "to-client"];

/** A TCP proxy on 127.0.0.1 that injects network faults between two processes. */
export interface Proxy {
  readonly port: number;
  /**
   * From now on drops everything in these directions, FINs and resets included. Existing connections stay silent for good:
   * a stream cannot continue once its middle is lost.
   */
  swallow(directions?: readonly Direction[]): void;
  /** Silences every other existing connection in both directions; new ones pass. */
  swallowHalf(which: "odd" | "even"): void;
  /** New connections pass again. Swallowed ones stay silent. */
  heal(): void;
  /** Inserts bytes between what the server sends, as somebody on the line might. */
  inject(bytes: Buffer): void;
  /** Resets every connection. */
  cut(): void;
  /** Sends new connections to this port; existing ones stay. */
  leadTo(port: number): void;
  stop(): Promise<void>;
}

interface Link {
  client: Socket;
  server: Socket | undefined;
  swallowed: ReadonlySet<Direction>;
}

/** @param onConnected receives the local port of each connection to the server: the client's port as the server sees it */
export async function startProxy(toPort: number, onConnected: (localPort: number) => void = () => {}): Promise<Proxy> {
  const links = new Set<Link>();
  let swallowed: ReadonlySet<Direction> = new Set();
  let serverPort = toPort;

  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const link: Link = { client, server: undefined, swallowed };
    links.add(link);
    // The network drops the very first packet: the server never sees this connection.
    if (link.swallowed.has("to-server")) {
      client.resume();
      client.on("error", () => undefined);
      client.once("close", () => links.delete(link));
      return;
    }
    const server = connect({ port: serverPort, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    link.server = server;
    server.once("connect", () => onConnected(server.localPort ?? 0));
    pass(link, "to-server", client, server);
    pass(link, "to-client", server, client);
    const closed = () => void (client.destroyed && server.destroyed && links.delete(link));
    client.once("close", closed);
    server.once("close", closed);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(0, "127.0.0.1", resolve);
  });

  function cut(): void {
    for (const { client, server } of links) {
      client.resetAndDestroy();
      server?.resetAndDestroy();
    }
    links.clear();
  }
  return {
    port: (listener.address() as AddressInfo).port,
    swallow(directions = BOTH) {
      swallowed = new Set(directions);
      for (const link of links) link.swallowed = new Set([...link.swallowed, ...directions]);
    },
    swallowHalf(which) {
      const rest = which === "odd" ? 1 : 0;
      for (const [i, link] of [...links].entries()) if (i % 2 === rest) link.swallowed = new Set(BOTH);
    },
    inject(bytes) {
      for (const { client, swallowed: silent } of links) if (!silent.has("to-client")) client.write(bytes);
    },
    heal: () => void (swallowed = new Set()),
    cut,
    leadTo: (port) => void (serverPort = port),
    stop: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        cut();
      }),
  };
}

function pass(link: Link, direction: Direction, from: Socket, to: Socket): void {
  const passes = () => !link.swallowed.has(direction);
  from.on("data", (chunk: Buffer) => {
    if (!passes() || to.write(chunk)) return;
    from.pause();
    to.once("drain", () => from.resume());
  });
  from.on("end", () => void (passes() && to.end()));
  from.on("error", () => undefined); // "close" follows
  from.on("close", (failed) => {
    if (!passes()) return;
    if (failed) to.destroy();
    else to.end();
  });
}
