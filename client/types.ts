import type { z } from "zod";
import type { CommandBodies } from "../shared/commands/table.ts";
import type { Receipt } from "../shared/commands/receipt.ts";
import type { EventName, PayloadOf } from "../shared/events/table.ts";
import type { Problem } from "../shared/health/problems.ts";
import type { gap } from "../shared/journal/gaps.ts";
import type { EntryResponse } from "../shared/journal/to-response.ts";

export type { CommandBodies, Receipt, EntryResponse };
export type CommandName = keyof CommandBodies;

type CadPayloads = { [Name in EventName]: PayloadOf<Name> };

/** The payload of each event of the stream, by its name. */
export interface StreamPayloads extends CadPayloads {
  "bridge:gap": z.output<typeof gap>;
  "bridge:high-priority": { entry: string; priority: number };
  "bridge:handler-skipped": { handler: string; from: string; to: string };
}
export type StreamEvent = keyof StreamPayloads;

/** A journal entry with a parsed payload. */
export type Entry<Payload> = Omit<EntryResponse, "payload"> & { payload: Payload };

export interface SendOptions {
  /** A new one for each call by default. All attempts of a call share it. */
  idempotencyKey?: string;
  /** How long to wait for the final state, s. */
  wait?: number;
  /** Lifetime of the command: it expires if not delivered by then, s. */
  ttlSeconds?: number;
  /** Time limit of all attempts together, without `wait`, ms. */
  deadlineMs?: number;
  signal?: AbortSignal;
}

/** The current state of a command. */
export interface CommandResult {
  /** False once the command has ended without the CAD's confirmation. */
  success: boolean;
  message: string;
  command_id: string;
  status: Receipt["status"];
  /** Only with `wait`, once the state is final. */
  receipt: Receipt | undefined;
  /** Send exactly this command again with it, without creating a duplicate. */
  idempotencyKey: string;
  /** True if an earlier attempt had already been accepted. */
  replayed: boolean;
}

/** GET /health; null means unknown. */
export interface HealthStatus {
  status: "healthy" | "degraded" | "unhealthy";
  problems: Problem[];
  bridge: {
    connected: boolean | null;
    ready: boolean | null;
    authenticated: boolean | null;
    cad_url: string | null;
    last_connection: string | null;
    connection_attempts: number | null;
    disconnected_since: string | null;
    transport: string | null;
    last_error: string | null;
    event_handlers_registered: number | null;
    uptime_seconds: number | null;
    uptime_percent_24h: number | null;
    uptime_percent_30d: number | null;
  };
  backlog: {
    unsettled: number;
    oldest_unsettled_age_seconds: number | null;
    oldest_neglected_age_seconds: number | null;
    dead_letters: number;
  } | null;
  worker: { heartbeat_age_seconds: number | null; instance: string | null; epoch: number | null };
  timestamp: string;
}
