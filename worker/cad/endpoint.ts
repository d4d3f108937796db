import type { TransportName } from "./engine.ts";
import type { ClientTls } from "./http-exchange.ts";

/** Where the CAD is, and what it takes to get there. */
export interface CadEndpoint {
  /** Its origin; a path is the Socket.IO namespace. */
  url: string;
  /** Where the server listens for Engine.IO, `/socket.io` unless a proxy has it elsewhere. */
  path?: string;
  /** What goes along with every HTTP request, for a gateway on the way. */
  headers?: Record<string, string>;
  query?: Record<string, string>;
  /** Tried in this order. */
  transports?: readonly TransportName[];
  tls?: ClientTls;
}

/** The most that may come before the connection is open, bytes: what a CAD recovers of a session is among it. */
export const MAX_EARLY_BYTES = 32 * 1024 * 1024;
