import { z } from "zod";
import type { Bounds } from "../../shared/outbox/bounds.ts";

const count = z.coerce.number().int().min(0).max(1_000_000_000);
const bytes = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/**
 * Limits of the backlog. Sized for 1,000 units that each send once per second: ten times that for ten seconds is 100,000
 * commands of one subject, about 600 bytes each; a unit's queue at ten per second holds 50 s.
 */
export const backlogEnv = {
  MAX_BACKLOG: z.coerce
    .number()
    .int()
    .min(1)
    .default(1_000_000)
    .describe("Maximum number of unsettled commands; beyond, 503."),
  MAX_BACKLOG_BYTES: bytes
    .default(512 * 1024 * 1024)
    .describe("Maximum size of all unsettled commands, bytes; beyond, 503. 0: unlimited."),
  MAX_WAITING_PER_SUBJECT: count
    .default(100_000)
    .describe("Maximum number of unsettled commands of one token subject; beyond, 429. 0: unlimited."),
  MAX_WAITING_BYTES_PER_SUBJECT: bytes
    .default(64 * 1024 * 1024)
    .describe("Maximum size of the unsettled commands of one token subject, bytes; beyond, 429. 0: unlimited."),
  MAX_WAITING_PER_KEY: count
    .default(500)
    .describe("Maximum number of unsettled commands of one unit, incident or room; beyond, 429. 0: unlimited."),
  BACKLOG_RESERVE_PERCENT: z.coerce
    .number()
    .int()
    .min(0)
    .max(90)
    .default(20)
    .describe(
      "Part of `MAX_BACKLOG`, `MAX_BACKLOG_BYTES` and `MAX_WAITING_PER_KEY` that is kept for the roles dispatcher and admin, %.",
    ),
};
const schema = z.object(backlogEnv);

export const toBounds = (config: z.infer<typeof schema>): Bounds => ({
  backlog: config.MAX_BACKLOG,
  bytes: config.MAX_BACKLOG_BYTES,
  subject: config.MAX_WAITING_PER_SUBJECT,
  subjectBytes: config.MAX_WAITING_BYTES_PER_SUBJECT,
  key: config.MAX_WAITING_PER_KEY,
  reservePercent: config.BACKLOG_RESERVE_PERCENT,
});
