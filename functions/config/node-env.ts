import { z } from "zod";
import { env } from "../../shared/config/config.ts";
import { trustedProxies } from "../http/client-address.ts";

const count = z.coerce.number().int().min(0).max(1_000_000);

/** What only a host with connections of its own has to see to. The defaults of the times are far beyond what a sound client needs. */
export const nodeServerEnv = {
  HTTP_MAX_HEADER_BYTES: env.bytes
    .default(16 * 1024)
    .describe("How large all headers of a request may be, bytes; beyond, 431."),
  HTTP_HEADERS_TIMEOUT_MS: env.milliseconds
    .default(10_000)
    .describe("How long a client may take to send the headers, ms; after that, 408 and the connection is closed."),
  HTTP_REQUEST_TIMEOUT_MS: env.milliseconds
    .default(30_000)
    .describe("How long a client may take to send the whole request, ms; after that, 408."),
  HTTP_IDLE_TIMEOUT_MS: env.milliseconds
    .default(60_000)
    .describe(
      "How long a connection may stand still, ms, such as that of a client that does not read; longer than `Prefer: wait` and `STREAM_HEARTBEAT_MS`.",
    ),
  HTTP_MAX_CONNECTIONS: count
    .default(10_000)
    .describe("How many connections are kept at once; further ones are closed. 0: any number."),
  HTTP_MAX_CONNECTIONS_PER_ADDRESS: count
    .default(2000)
    .describe("The same for one address. Behind a proxy all have its address: set it to 0 there."),
  TRUST_PROXY: trustedProxies.optional(),
};
const schema = z.object(nodeServerEnv);
export type NodeServerConfig = z.infer<typeof schema>;
