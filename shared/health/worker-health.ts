import { z } from "zod";
import { destinationReport } from "../destinations/store.ts";
import { gap } from "../journal/gaps.ts";
import { problem } from "./problems.ts";

/** Heartbeat interval of the worker, ms. */
export const HEARTBEAT_MS = 1000;
/** A worker without a heartbeat for this long counts as dead, s. */
export const HEARTBEAT_LIMIT_S = 15;
/**
 * How long the last heartbeat is kept, ms: its age is this minus its remaining time to live, by Redis's clock. A week, so that
 * health reports since when there is no worker, and the next worker knows since when each problem exists.
 */
export const HEARTBEAT_KEPT_MS = 7 * 24 * 3_600_000;

/** What the leader writes to Redis for the functions. */
export const workerHealth = z.object({
  instance: z.string(),
  /** Time of writing by Redis's clock, us: an old one that is put back shows its age. Null if it is not from Redis. */
  written_at: z.number().nullable().default(null),
  epoch: z.number(),
  /** It shut down cleanly. */
  stopped: z.boolean(),
  /** Connected, authenticated, rooms joined, answering. */
  ready: z.boolean(),
  /** For how long, s; 0 if it is not ready. */
  ready_seconds: z.number(),
  /** How long the CAD may take to confirm a command, s. */
  confirm_seconds: z.number(),
  /** The queue delivers jobs. */
  consuming: z.boolean(),
  connected: z.boolean(),
  authenticated: z.boolean(),
  /** Why commands wait, for the on-call engineer; null if they do not. */
  waiting_for: z.string().nullable(),
  /** All problems known to the worker. */
  problems: z.array(problem).default([]),
  /** Scheme and host. */
  cad_url: z.string(),
  last_connection: z.string().nullable(),
  /** Failed connection attempts since the last success; 0 while connected. */
  connection_attempts: z.number(),
  /** Connection attempts since this worker became the leader. */
  connection_attempts_total: z.number().default(0),
  /** Since when the CAD is not ready; null while it is. */
  disconnected_since: z.string().nullable().default(null),
  /** The transport of the connection, websocket or polling; null without one. */
  transport: z.string().nullable().default(null),
  /** Number of connections that became ready: increases with every reconnect. */
  connections: z.number(),
  last_error: z.string().nullable(),
  /** Number of kinds of CAD events with a handler. */
  event_handlers_registered: z.number(),
  /** For how long the connection has been ready, s; 0 if it is not. */
  uptime_seconds: z.number(),
  /** Share of the last 24 h, or of the time since the first worker started, in which it was ready, percent; null if unknown. */
  uptime_percent_24h: z.number().nullable().default(null),
  /** The same for the last 30 d. */
  uptime_percent_30d: z.number().nullable().default(null),
  in_flight: z.number(),
  rooms: z.number(),
  /** Events of each kind received from the CAD, and how many of them did not parse. */
  events: z.record(z.string(), z.object({ received: z.number(), malformed: z.number() })),
  /** The state of each destination of the CAD's events. */
  destinations: z.array(destinationReport),
  /** Missed events of the CAD. */
  recovery: z.object({
    /** Whether the recovery of missed events is in progress. */
    recovering: z.boolean(),
    /** Events that were missed and then recovered since this worker became the leader. */
    recovered: z.number(),
    /** Periods of the last 24 h in which events may be missing. */
    gaps_24h: z.number(),
    last_gap: gap.nullable(),
  }),
  /** The results of each handler since this worker became the leader. */
  handlers: z.array(
    z.object({
      handler: z.string(),
      what: z.string(),
      cursor: z.string(),
      done: z.number(),
      failed: z.number(),
      skipped: z.number(),
      running: z.number(),
      /** Why it cannot continue reading the journal; null if it can. */
      reading_problem: z.string().nullable().default(null),
      last_error: z.string().nullable(),
    }),
  ),
});
export type WorkerHealth = z.infer<typeof workerHealth>;

/** Scheme, host and port of a URL, which are safe to show. Its path may be a secret too, such as that of a chat's webhook. */
export function withoutCredentials(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  return parsed ? `${parsed.protocol}//${parsed.host}` : "(not a URL)";
}
