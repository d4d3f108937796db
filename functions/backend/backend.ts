import type { Redis } from "ioredis";
import { type AuditNote, type AuditOutcome, ownNote } from "../../shared/audit/entry.ts";
import { type AuditPage, type AuditQuery, openAuditTrail } from "../../shared/audit/trail.ts";
import { openOutcomeReader } from "../../shared/destinations/outcome-reader.ts";
import type { Log } from "../../shared/util/log.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import type { Bounds } from "../../shared/outbox/bounds.ts";
import type { Appended, MessageRecord, NewMessage } from "../../shared/outbox/outbox.ts";
import { isFinal } from "../../shared/outbox/states.ts";
import { publish } from "../../shared/redis/cluster.ts";
import { faultReason, whyFailed } from "../../shared/redis/fault.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import { createIncidentCalls, type IncidentCalls } from "./incident-calls.ts";
import { type Figures, openFigures } from "./figures.ts";
import { type CommandCalls, createCommandCalls } from "./command-calls.ts";
import { createTimelineCalls, type TimelineCalls } from "./timeline-calls.ts";
import { createEventCalls, type EventCalls } from "./event-calls.ts";
import { openRateLimiter, type TakePoints } from "./redis-rate-limiter.ts";
import { type Quotas, UNLIMITED } from "../config/quotas.ts";
import { createChannelSubscriber } from "./channel-subscriber.ts";
import { createDeadLetterCalls, type DeadLetterCalls } from "./dead-letter-calls.ts";
import { createDestinationCalls, type DestinationCalls } from "./destination-calls.ts";
import { createHealthCalls, type HealthCalls } from "./health-calls.ts";
import { createOutboxes } from "./outboxes.ts";
import { createWorkerWaker } from "./wake-worker.ts";

/** How often it is logged that Redis refuses subscriptions, ms. */
const WARN_AGAIN_MS = 60_000;
/** How often the same forgery is recorded in the audit trail, ms. */
const FORGED_MS = 3_600_000;

/** Everything the functions ask of Redis. Every call ends within about a second, or the time it was asked to wait. */
export interface Backend
  extends EventCalls, CommandCalls, TimelineCalls, IncidentCalls, DeadLetterCalls, DestinationCalls, HealthCalls {
  /** Stores a message, and wakes the worker if it sleeps. */
  accept(message: NewMessage): Promise<Appended>;
  /** @param destination whose outbox it is in; the commands' if undefined. Here and below. */
  read(id: string, destination?: string): Promise<MessageRecord | undefined>;
  /** Reads it once it is final, or when `ms` have passed. */
  readSettled(id: string, ms: number): Promise<MessageRecord | undefined>;
  queued(): Promise<Record<string, number>>;
  /** Requests a reconnect; returns how many workers received that. */
  askReconnect(): Promise<number>;
  /** Figures that only the metrics show. */
  figures(): Promise<Figures>;
  /** Adds an audit entry; `accept` and `redrive` add their own. */
  note(note: AuditNote, outcome: AuditOutcome, command: string): Promise<void>;
  listAudit(query: AuditQuery): Promise<AuditPage>;
  /** Grants requests to a client out of its quota. */
  takePoints: TakePoints;
  /** Ends every readSettled and readEvents at once. */
  endWaits(): void;
  close(): Promise<void>;
}

/**
 * @param redis for everything but subscriptions; fails fast
 * @param subscriber only for subscriptions
 * @param prefix REDIS_PREFIX
 */
export function createBackend(
  redis: Redis,
  subscriber: Redis,
  prefix: string,
  bounds: Bounds,
  sealer: Sealer,
  log: Log,
  quotas: Quotas = UNLIMITED,
): Backend {
  const keys = outboxKeys(prefix);
  const waker = createWorkerWaker(redis, keys, log);
  const outboxFor = createOutboxes(redis, prefix, bounds, sealer, waker.wake);
  const commands = outboxFor(undefined);
  const trail = openAuditTrail(redis, keys, sealer);
  let warnedAt = -Infinity;
  const channel = createChannelSubscriber(subscriber, (error) => {
    if (performance.now() - warnedAt < WARN_AGAIN_MS) return;
    warnedAt = performance.now();
    log.error(
      { code: "redis-refused", reason: faultReason(error) },
      "Redis refuses subscriptions: waiting requests poll instead",
    );
  });

  /** Something that no worker wrote was read: noted once an hour, however often it is read. */
  function noteForged(what: string): void {
    const once = { key: `forged ${what}`, ms: FORGED_MS };
    trail
      .note({ ...ownNote("functions", `FORGED ${what}`), once }, "forged", "")
      .catch((error: Error) => log.warn({ what, reason: whyFailed(error) }, "a forgery was not noted"));
  }

  const eventCalls = createEventCalls(redis, prefix, sealer, channel, noteForged);
  return {
    accept: commands.accept,

    read: (id, destination) => outboxFor(destination).read(id),

    async readSettled(id, ms) {
      return channel.during(keys.settledChannel(id), ms, async (news) => {
        for (let more = true; ; more = await news()) {
          const record = await commands.read(id);
          if (!more || !record || isFinal(record.state)) return record;
        }
      });
    },

    queued: waker.counts,

    askReconnect: () => publish(redis, keys.controlChannel, "reconnect"),

    figures: openFigures(redis, keys, prefix),
    note: trail.note,
    listAudit: trail.list,
    ...eventCalls,
    ...createTimelineCalls(redis, prefix, sealer, eventCalls, openOutcomeReader(redis, prefix, sealer), commands.read),
    ...createIncidentCalls(redis, prefix, sealer),
    ...createDeadLetterCalls(redis, prefix, sealer, outboxFor, waker.wake),
    ...createDestinationCalls(redis, prefix, sealer, outboxFor),
    ...createHealthCalls(redis, keys, sealer, bounds, commands.backlog, noteForged),
    ...createCommandCalls(redis, prefix, sealer, commands.read),
    takePoints: openRateLimiter(redis, keys, quotas),

    endWaits: channel.stop,
    close: waker.close,
  };
}
