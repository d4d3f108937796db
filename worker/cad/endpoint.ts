import { validateHeaderName, validateHeaderValue } from "node:http";
import { createSecureContext } from "node:tls";
import { z } from "zod";
import { ConfigError, env } from "../../shared/config/config.ts";
import type { TransportName } from "./engine.ts";
import type { ClientTls } from "./http-exchange.ts";

/** Where the CAD is, and what it takes to get there. */
export interface CadEndpoint {
  /** Its origin; a path is the Socket.IO namespace. */
  url: string;
  /** Further nodes of the same CAD. */
  more?: readonly string[] | undefined;
  /** Where the server listens for Engine.IO, `/socket.io` unless a proxy has it elsewhere. */
  path?: string | undefined;
  /** What goes along with every HTTP request, for a gateway on the way. */
  headers?: Record<string, string> | undefined;
  query?: Record<string, string> | undefined;
  /** Tried in this order. */
  transports?: readonly TransportName[] | undefined;
  tls?: ClientTls | undefined;
  /** Minimum size of messages that are compressed, bytes, if the CAD offers permessage-deflate; 0: never. */
  compressFrom?: number | undefined;
}

/** The most that may come before the connection is open, bytes: what a CAD recovers of a session is among it. */
export const MAX_EARLY_BYTES = 32 * 1024 * 1024;

/** Messages of this size and more are compressed if it is not said otherwise, bytes: as the library does. */
export const COMPRESS_FROM = 1024;

/** Headers that make the connection what it is; the library sets them. */
const OWN_HEADERS = /^(?:connection|upgrade|content-length|transfer-encoding|sec-websocket-.*)$/i;
/** Query parameters of Engine.IO itself. */
const OWN_QUERY = new Set(["EIO", "transport", "sid", "t", "b64"]);

const isHeader = ([name, value]: [string, string]): boolean => {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return !OWN_HEADERS.test(name);
  } catch {
    return false;
  }
};

const headers = z
  .string()
  .transform((text): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  })
  .pipe(
    z.record(z.string(), z.string(), {
      error: 'must be a JSON object of texts, such as {"X-Api-Key":"…"}',
    }),
  )
  .refine(
    (read) => Object.entries(read).every(isHeader),
    "holds a header whose name or value cannot be sent, or that the connection itself needs",
  );

const query = z
  .string()
  .transform((text) => Object.fromEntries(new URLSearchParams(text)))
  .refine(
    (read) => Object.keys(read).every((name) => !OWN_QUERY.has(name)),
    `must not hold ${[...OWN_QUERY].join(", ")}: they are Engine.IO's own`,
  );

const TRANSPORTS = ["websocket", "polling"] as const satisfies readonly TransportName[];
const pem = (kind: string) => z.string().includes(`-----BEGIN ${kind}`, { error: "must be in PEM form" }).optional();

/** The environment variables of the way to the CAD. */
export const endpointEnv = {
  CAD_SOCKET_PATH: z
    .string()
    .regex(/^\/[\w./~%-]*$/, "must be a path that begins with /")
    .default("/socket.io")
    .describe("The path at which the CAD's Socket.IO server listens, such as `/cad/socket.io` behind a proxy."),
  CAD_HEADERS: env.note(
    headers.optional().describe('Extra headers for every request to the CAD, as a JSON object: `{"X-Api-Key":"…"}`.'),
    { secret: true },
  ),
  CAD_QUERY: env.note(
    query.optional().describe("Extra query parameters for every request to the CAD: `key=value&other=value`."),
    { secret: true },
  ),
  CAD_TRANSPORTS: z
    .string()
    .transform((text) => text.split(",").map((name) => name.trim()))
    .pipe(z.array(z.enum(TRANSPORTS)).min(1))
    .default(["websocket", "polling"])
    .describe("Transports in the order in which they are tried: websocket, polling or both."),
  CAD_COMPRESS_FROM: z.coerce
    .number()
    .int()
    .min(0)
    .default(COMPRESS_FROM)
    .describe(
      "Messages to the CAD of this size and more, bytes, are compressed if the CAD offers it (permessage-deflate, over WebSocket). 0: never, and the CAD's are not either.",
    ),
  CAD_TLS_CA: env.note(
    pem("CERTIFICATE").describe(
      "PEM certificates of the authorities that the CAD's certificate is checked against, instead of Node's own.",
    ),
    { secret: true },
  ),
  CAD_TLS_CERT: env.note(pem("CERTIFICATE").describe("The PEM certificate that the bridge shows to the CAD."), {
    secret: true,
    needs: "CAD_TLS_KEY",
  }),
  CAD_TLS_KEY: env.note(pem("").describe("The PEM private key of `CAD_TLS_CERT`."), {
    secret: true,
    needs: "CAD_TLS_CERT",
  }),
};

export interface EndpointConfig {
  CAD_BACKEND_URL: string;
  CAD_MORE_URLS?: readonly string[] | undefined;
  CAD_SOCKET_PATH: string;
  CAD_HEADERS?: Record<string, string> | undefined;
  CAD_QUERY?: Record<string, string> | undefined;
  CAD_TRANSPORTS: readonly TransportName[];
  CAD_COMPRESS_FROM: number;
  CAD_TLS_CA?: string | undefined;
  CAD_TLS_CERT?: string | undefined;
  CAD_TLS_KEY?: string | undefined;
}

/** The way to the CAD. Throws ConfigError if a certificate and its key cannot be used. */
export function endpointOf(config: EndpointConfig): CadEndpoint {
  const { CAD_TLS_CA: ca, CAD_TLS_CERT: cert, CAD_TLS_KEY: key } = config;
  const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  try {
    createSecureContext(tls);
  } catch (error) {
    const { code = "unknown" } = error as { code?: string };
    throw new ConfigError([`CAD_TLS_CERT, CAD_TLS_KEY, CAD_TLS_CA: cannot be used together (${code})`]);
  }
  return {
    url: config.CAD_BACKEND_URL,
    more: config.CAD_MORE_URLS,
    path: config.CAD_SOCKET_PATH,
    headers: config.CAD_HEADERS,
    query: config.CAD_QUERY,
    transports: config.CAD_TRANSPORTS,
    tls,
    compressFrom: config.CAD_COMPRESS_FROM,
  };
}
