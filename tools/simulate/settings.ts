import type { LogLevel } from "../../shared/util/log-levels.ts";
import { workerEnv, type WorkerConfig } from "../../worker/config.ts";

export const PREFIX = "sim";
export const REDIS_URL = "redis://simulation";

/** A worker's configuration. */
export const configOf = (instance: string): WorkerConfig => ({
  ...workerEnv.parse({
    REDIS_URL,
    REDIS_PREFIX: PREFIX,
    LOG_LEVEL: "silent" satisfies LogLevel,
    CAD_BACKEND_URL: "http://cad.simulation",
    CAD_BACKEND_AUTH_TOKEN: "token",
    CAD_ID: "cad",
    WORKER_INSTANCE: instance,
    ALLOW_PRIVATE_DESTINATIONS: "true",
    BILLING_API_URL: "http://billing.simulation/events",
    BILLING_WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 7).toString("base64")}`,
  }),
  secretFiles: {},
});
