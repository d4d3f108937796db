import { z } from "zod";
import { destinationReport } from "../destinations/store.ts";
import { gap } from "../journal/gaps.ts";
import { problem } from "./problems.ts";

/** How often the worker reports, ms. */
export const HEARTBEAT_MS = 1000;
/** A worker that did not report for so long is taken for dead, s. */
export const HEARTBEAT_LIMIT_S = 15;
/**
 * How long the last heartbeat is kept, ms: its age is this less what is left, by Redis's clock alone. A week, so that health
 * says since when there is no worker, and the next worker knows since when each problem is there.
 */
export const HEARTBEAT_KEPT_MS = 7 * 24 * 3_600_000;

/** What the worker that owns the CAD writes to Redis for the functions to read. */
export const workerHealth = z.object({
  instance: z.string(),
  /** When it was written, by Redis's clock, us: an old one that is put back shows its age. Null in what is not from Redis. */
  written_at: z.number().nullable().default(null),
  epoch: z.number(),
  /** It said goodbye. */
  stopped: z.boolean(),
  /** Connected, authenticated, rooms joined, answering. */
  ready: z.boolean(),
  /** For how long it has been, s; 0 if it is not. */
  ready_seconds: z.number(),
  /** How long the CAD may take to confirm a command, s. */
  confirm_seconds: z.number(),
  /** Jobs come out of the queue. */
  consuming: z.boolean(),
  connected: z.boolean(),
  authenticated: z.boolean(),
  /** Why commands wait, for the on-call engineer; null when they do not. */
  waiting_for: z.string().nullable(),
  /** All that the worker knows to be wrong. */
  problems: z.array(problem).default([]),
  /** Scheme and host. */
  cad_url: z.string(),
  last_connection: z.string().nullable(),
  /** How many tries to connect failed since the last success; 0 while it is connected. */
  connection_attempts: z.number(),
  /** How often it was tried to connect, since the worker owns the CAD. */
  connection_attempts_total: z.number().default(0),
  /** Since when the CAD is not ready; null while it is. */
  disconnected_since: z.string().nullable().default(null),
  /** What carries the connection, websocket or polling; null while there is none. */
  transport: z.string().nullable().default(null),
  /** Counts the connections that became ready: a reconnect shows as a larger one. */
  connections: z.number(),
  last_error: z.string().nullable(),
  /** How many kinds of CAD events are handled. */
  event_handlers_registered: z.number(),
  /** For how long the connection has been ready, s; 0 if it is not. */
  uptime_seconds: z.number(),
  /** How much of the last 24 h it was ready, in percent, or of the time since the first worker started; null if unknown. */
  uptime_percent_24h: z.number().nullable().default(null),
  /** The same of the last 30 d. */
  uptime_percent_30d: z.number().nullable().default(null),
  in_flight: z.number(),
  rooms: z.number(),
  /** How many events of each kind came from the CAD, and how many of them did not parse. */
  events: z.record(z.string(), z.object({ received: z.number(), malformed: z.number() })),
  /** How each service is that the CAD's events go to. */
  destinations: z.array(destinationReport),
  /** What was missed of the CAD's events. */
  recovery: z.object({
    /** Whether it is still being found out, or recovered. */
    recovering: z.boolean(),
    /** Events that were missed at first, and recovered, since the worker owns the CAD. */
    recovered: z.number(),
    /** Stretches of time of which events may be missing, of the last 24 h. */
    gaps_24h: z.number(),
    last_gap: gap.nullable(),
  }),
  /** What each handler of the CAD's events did since the worker owns the CAD. */
  handlers: z.array(
    z.object({
      handler: z.string(),
      what: z.string(),
      cursor: z.string(),
      done: z.number(),
      failed: z.number(),
      skipped: z.number(),
      running: z.number(),
      /** Why it cannot read the journal on; null if it can. */
      reading_problem: z.string().nullable().default(null),
      last_error: z.string().nullable(),
    }),
  ),
});
export type WorkerHealth = z.infer<typeof workerHealth>;

/** Scheme, host and port of a URL: fit to be shown. Its path may be a secret as well, as that of a chat's webhook is. */
export function withoutCredentials(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  return parsed ? `${parsed.protocol}//${parsed.host}` : "(not a URL)";
}
