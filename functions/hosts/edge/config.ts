import type { DurableObjectNamespace, StaticAssets } from "cloudflare:workers";
import { z } from "zod";
import { type Config, parseConfig } from "../../../shared/config/config.ts";
import { functionsEnv } from "../../config/node-config.ts";
import type { CadBackend } from "./cad-backend.ts";

const nodeOnly = {
  ...({
    PORT: true,
    HOST: true,
    METRICS_PORT: true,
    METRICS_HOST: true,
    LOG_FILE: true,
    LOG_FORMAT: true,
    TRUST_PROXY: true,
    CADS_FILE: true,
  } as const),
  ...({ HTTP_MAX_HEADER_BYTES: true, HTTP_HEADERS_TIMEOUT_MS: true, HTTP_REQUEST_TIMEOUT_MS: true } as const),
  ...({ HTTP_IDLE_TIMEOUT_MS: true, HTTP_MAX_CONNECTIONS: true, HTTP_MAX_CONNECTIONS_PER_ADDRESS: true } as const),
} as const;

/** The functions' environment at the edge, where the runtime handles connections and there is no file to write to. */
export const edgeEnv = functionsEnv.omit(nodeOnly).extend({
  EDGE_SHARDS: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe(
      "Number of Durable Objects that hold connections to Redis; each serves some hundreds of requests a second.",
    ),
});
type EdgeConfig = Config<typeof edgeEnv>;

/** The bindings in wrangler.toml besides variables and secrets. */
export interface Bindings {
  CAD_BACKEND: DurableObjectNamespace<CadBackend>;
  ASSETS: StaticAssets;
}

/** Reads the variables and secrets. Throws ConfigError. */
export function edgeConfig(env: Bindings): EdgeConfig {
  const texts = Object.entries(env).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return parseConfig(edgeEnv, Object.fromEntries(texts));
}
