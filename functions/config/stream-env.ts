import { z } from "zod";
import { env } from "../../shared/config/config.ts";

/** Default number of streams per process: each holds a connection, and at most some MB of the journal. */
const MAX_STREAMS = 500;

/** Limits of GET /events. */
export const streamEnv = {
  MAX_STREAMS: z.coerce
    .number()
    .int()
    .min(0)
    .default(MAX_STREAMS)
    .describe("Maximum number of open `GET /events` streams per process; beyond, 503."),
  STREAM_HEARTBEAT_MS: env.milliseconds.default(15_000).describe("Interval of heartbeats on an idle stream, ms."),
  STREAM_WRITE_TIMEOUT_MS: env.milliseconds
    .default(30_000)
    .describe("A client of `GET /events` that does not read what was sent within this time is disconnected, ms."),
};

export interface StreamLimits {
  max: number;
  heartbeatMs: number;
  writeMs: number;
}

export const streamLimits = (config: z.infer<z.ZodObject<typeof streamEnv>>): StreamLimits => ({
  max: config.MAX_STREAMS,
  heartbeatMs: config.STREAM_HEARTBEAT_MS,
  writeMs: config.STREAM_WRITE_TIMEOUT_MS,
});
