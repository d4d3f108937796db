import { z } from "zod";
import { ConfigError, env } from "../config/config.ts";
import type { Log } from "../util/log.ts";
import { createSealer, payloadKeys, type Sealer } from "./seal.ts";

/** How payloads are stored; the same variables for functions and worker. */
export const sealingEnv = {
  PAYLOAD_KEYS: env.note(
    payloadKeys
      .default([])
      .describe(
        "Keys that encrypt payloads in Redis: ID:KEY,ID:KEY, each key 32 bytes in base64. The first encrypts, all decrypt. Without it payloads are stored in clear.",
      ),
    { secret: true },
  ),
  ALLOW_UNSEALED_PAYLOADS: z
    .stringbool({ error: "must be true or false" })
    .optional()
    .describe(
      "Whether clear, unauthenticated data is allowed in Redis: stored without keys (default: yes, except with NODE_ENV=production), or, if `true`, read from before there were keys.",
    ),
  NODE_ENV: z.string().optional().describe("`production`: refuse to start unless payloads are encrypted."),
};
type SealingConfig = z.infer<z.ZodObject<typeof sealingEnv>>;

/** The sealer of a process. Warns if payloads are stored in clear; throws ConfigError if they must not be. */
export function openSealer(config: SealingConfig, log: Log): Sealer {
  // With keys, unsealed data could be anyone's: accepted only if explicitly allowed.
  if (config.PAYLOAD_KEYS.length > 0)
    return createSealer(config.PAYLOAD_KEYS, config.ALLOW_UNSEALED_PAYLOADS === true ? "open" : "refuse");
  const mayBeClear = config.ALLOW_UNSEALED_PAYLOADS ?? config.NODE_ENV !== "production";
  if (!mayBeClear) {
    throw new ConfigError([
      "PAYLOAD_KEYS: is not set, and payloads with patient data would be stored in clear: make a key with `openssl rand -base64 32`, or set ALLOW_UNSEALED_PAYLOADS=true",
    ]);
  }
  const hint = "set PAYLOAD_KEYS; `openssl rand -base64 32` makes a key";
  log.warn({ hint }, "payloads with patient data are stored in Redis unencrypted");
  return createSealer([]);
}
