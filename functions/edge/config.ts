import type { DurableObjectNamespace, StaticAssets } from "cloudflare:workers";
import { z } from "zod";
import { type Config, parseConfig } from "../../shared/config.ts";
import { functionsEnv } from "../config.ts";
import type { CadBackend } from "./cad-backend.ts";

const { PORT: _port, HOST: _host, LOG_FILE: _file, ...elsewhere } = functionsEnv.shape;

/** The functions' environment at the edge, where there is no port to listen on and no file to write to. */
export const edgeEnv = z.object({
  ...elsewhere,
  EDGE_SHARDS: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe("How many Durable Objects hold a connection to Redis; each takes some hundreds of requests a second."),
});
export type EdgeConfig = Config<typeof edgeEnv>;

/** What wrangler.toml binds, beside the variables and the secrets. */
export interface Bindings {
  CAD_BACKEND: DurableObjectNamespace<CadBackend>;
  ASSETS: StaticAssets;
}

/** Reads the variables and secrets. Throws ConfigError. */
export function edgeConfig(env: Bindings): EdgeConfig {
  const texts = Object.entries(env).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return parseConfig(edgeEnv, Object.fromEntries(texts));
}
