import { z } from "zod";

/**
 * What is limited: a token by its subject, its latest-wins commands separately, the bytes of both, an address, and an address
 * without a valid token.
 */
export const POLICIES = ["token", "latest-wins", "token-bytes", "address", "unauthenticated"] as const;
export type Policy = (typeof POLICIES)[number];

/** Requests, or bytes, per window; 0: unlimited. */
export type Quotas = Readonly<Record<Policy, number>> & {
  windowSeconds: number;
  /** Expensive lists one subject may read concurrently from one process; 0: unlimited. */
  readsAtOnce: number;
};

/** The granted part of a requested share. */
export interface Granted {
  granted: number;
  /** What it has left in all processes together. */
  remaining: number;
  /** Time until the window ends, ms. */
  resetMs: number;
}

/** For a backend that serves no external requests. */
export const UNLIMITED: Quotas = {
  ...{ token: 0, "latest-wins": 0, "token-bytes": 0, address: 0, unauthenticated: 0 },
  ...{ windowSeconds: 1, readsAtOnce: 0 },
};

const quota = z.coerce.number().int().min(0).max(1_000_000_000);

export const quotaEnv = {
  RATE_LIMIT_WINDOW_S: z.coerce
    .number()
    .int()
    .min(1)
    .max(3600)
    .default(10)
    .describe("Window of the rate limits below, s."),
  RATE_LIMIT_TOKEN: quota
    .default(20_000)
    .describe(
      "Maximum requests of one token subject per window; beyond, 429. 0: unlimited. Latest-wins commands (positions, metrics) have the same limit again, counted separately.",
    ),
  // Sized for the limit of requests at 1 KiB each: a position has 160 bytes.
  RATE_LIMIT_TOKEN_BYTES: quota
    .default(20_000 * 1024)
    .describe(
      "Maximum bytes of request bodies of one token subject per window; beyond, 429. 0: unlimited. Latest-wins commands have the same limit again.",
    ),
  RATE_LIMIT_ADDRESS: quota
    .default(50_000)
    .describe("Maximum requests of one address per window, with or without a token."),
  RATE_LIMIT_UNAUTHENTICATED: quota
    .default(200)
    .describe("Maximum requests of one address per window without a valid token."),
  MAX_READS_PER_SUBJECT: z.coerce
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(2)
    .describe(
      "Maximum number of lists of events, dead letters and audit entries that one token subject reads at once from one process; beyond, 429. 0: unlimited.",
    ),
};
const schema = z.object(quotaEnv);

export const toQuotas = (config: z.infer<typeof schema>): Quotas => ({
  token: config.RATE_LIMIT_TOKEN,
  "latest-wins": config.RATE_LIMIT_TOKEN,
  "token-bytes": config.RATE_LIMIT_TOKEN_BYTES,
  address: config.RATE_LIMIT_ADDRESS,
  unauthenticated: config.RATE_LIMIT_UNAUTHENTICATED,
  windowSeconds: config.RATE_LIMIT_WINDOW_S,
  readsAtOnce: config.MAX_READS_PER_SUBJECT,
});
