import { z } from "zod";
import { env } from "../../shared/config/config.ts";
import { trustedProxies } from "../http/client-address.ts";

const count = z.coerce.number().int().min(0).max(1_000_000);

/** Settings of a host that manages its own connections. The default times are far above what a normal client needs. */
export const nodeServerEnv = {
  HTTP_MAX_HEADER_BYTES: env.bytes
    .default(16 * 1024)
    .describe("Maximum size of all headers of a request, bytes; beyond, 431."),
  HTTP_HEADERS_TIMEOUT_MS: env.milliseconds
    .default(10_000)
    .describe("Time limit for sending the headers, ms; after that, 408 and the connection is closed."),
  HTTP_REQUEST_TIMEOUT_MS: env.milliseconds
    .default(30_000)
    .describe("Time limit for sending the whole request, ms; after that, 408."),
  HTTP_IDLE_TIMEOUT_MS: env.milliseconds
    .default(60_000)
    .describe(
      "Time after which an idle connection is closed, ms, such as that of a client that does not read. Must be longer than `Prefer: wait` and `STREAM_HEARTBEAT_MS`.",
    ),
  HTTP_MAX_CONNECTIONS: count
    .default(10_000)
    .describe("Maximum number of open connections; further ones are closed. 0: unlimited."),
  HTTP_MAX_CONNECTIONS_PER_ADDRESS: count
    .default(2000)
    .describe("The same for one address. Set it to 0 behind a proxy, where all have its address."),
  TRUST_PROXY: trustedProxies.optional(),
};
const schema = z.object(nodeServerEnv);
export type NodeServerConfig = z.infer<typeof schema>;
