import type { Server, ServerOptions } from "node:http";
import type { Socket } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { listenOn } from "../../shared/util/listen.ts";
import { limitedAddress, normalAddress } from "../http/client-address.ts";
import type { NodeServerConfig } from "../config/node-env.ts";

/** Interval of the check for slow requests, ms. */
const LOOK_MS = 500;

/** Starts the HTTP server with limits, so that slow, large or many requests cannot block it. */
export async function listen(
  fetch: (request: Request, bindings: object) => Response | Promise<Response>,
  config: NodeServerConfig & { PORT: number; HOST: string },
): Promise<{ server: Server; port: number }> {
  const serverOptions: ServerOptions = {
    maxHeaderSize: config.HTTP_MAX_HEADER_BYTES,
    headersTimeout: Math.min(config.HTTP_HEADERS_TIMEOUT_MS, config.HTTP_REQUEST_TIMEOUT_MS),
    requestTimeout: config.HTTP_REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: LOOK_MS,
  };
  // The adaptor creates an HTTP/1.1 server unless given the options of another one.
  const server = createAdaptorServer({ fetch, serverOptions }) as Server;
  server.timeout = config.HTTP_IDLE_TIMEOUT_MS;
  if (config.HTTP_MAX_CONNECTIONS > 0) server.maxConnections = config.HTTP_MAX_CONNECTIONS;
  if (config.HTTP_MAX_CONNECTIONS_PER_ADDRESS > 0) limitEachAddress(server, config.HTTP_MAX_CONNECTIONS_PER_ADDRESS);
  return { server, port: await listenOn(server, config.HOST, config.PORT) };
}

/** Closes connections of an address above its limit. */
function limitEachAddress(server: Server, most: number): void {
  const open = new Map<string, number>();
  server.prependListener("connection", (socket: Socket) => {
    const address = limitedAddress(normalAddress(socket.remoteAddress));
    const before = open.get(address) ?? 0;
    if (before >= most) return void socket.destroy();
    open.set(address, before + 1);
    socket.once("close", () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left > 0) open.set(address, left);
      else open.delete(address);
    });
  });
}
