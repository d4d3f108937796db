import { z } from "zod";
import { type Config, env, sharedEnv } from "../shared/config.ts";
import { corsOrigins } from "./http-headers.ts";
import { MAX_BODY_BYTES } from "./limit-body.ts";
import { nodeServerEnv } from "./node-env.ts";

/** The functions' environment. */
export const functionsEnv = z.object({
  ...sharedEnv,
  PORT: env.port.default(8000).describe("Where the HTTP API listens."),
  HOST: z.string().min(1).default("127.0.0.1").describe("The address that it listens on; 0.0.0.0 for all."),
  JWT_SECRET: env.note(
    z
      .string()
      .min(32, "must have at least 32 characters")
      .describe("The secret that the services' HS256 tokens are signed with."),
    { secret: true },
  ),
  MAX_BACKLOG: z.coerce
    .number()
    .int()
    .min(1)
    .default(1_000_000)
    .describe("How many unsettled commands are held at most; beyond, 503."),
  MAX_BODY_BYTES: env.bytes.default(MAX_BODY_BYTES).describe("How large a body may be, bytes; beyond, 413."),
  CORS_ORIGINS: corsOrigins.optional(),
  ...nodeServerEnv,
});
export type FunctionsConfig = Config<typeof functionsEnv>;
