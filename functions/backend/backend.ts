import type { Redis } from "ioredis";
import { type AuditNote, type AuditOutcome, ownNote } from "../../shared/audit/entry.ts";
import { type AuditPage, type AuditQuery, openAuditTrail } from "../../shared/audit/trail.ts";
import { type DoubtedHeartbeat, heartbeatAge, parseHeartbeat } from "../../shared/health/heartbeat.ts";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";
import { type DestinationState, openDestinationStore } from "../../shared/destinations/store.ts";
import { type Attempt, type DestinationAttempt, openMessageAttempts } from "../../shared/destinations/attempts.ts";
import { openOutcomeReader } from "../../shared/destinations/outcome-reader.ts";
import type { ReplayRequest, ReplayStatus } from "../../shared/destinations/replay.ts";
import type { Log } from "../../shared/util/log.ts";
import { sourceOf } from "../../shared/destinations/source.ts";
import { TEST_EVENT, testEvent } from "../../shared/destinations/test-event.ts";
import { destinationKeys, outboxKeys } from "../../shared/redis/keys.ts";
import { type DeadPage, type DeadQuery, openDeadLetters } from "../../shared/outbox/dead-letters.ts";
import type { Backlog } from "../../shared/outbox/backlog.ts";
import { atMost, type Bounds, withoutReserve } from "../../shared/outbox/bounds.ts";
import { type Appended, type MessageRecord, type NewMessage, openOutbox } from "../../shared/outbox/outbox.ts";
import { type JobQueue, openJobQueue } from "../../shared/outbox/queue.ts";
import { isFinal } from "../../shared/outbox/states.ts";
import { batched } from "../../shared/util/batch.ts";
import { toMicros } from "../../shared/redis/clock.ts";
import { publish } from "../../shared/redis/cluster.ts";
import { faultReason, RedisFault, whyFailed } from "../../shared/redis/fault.ts";
import { askWhetherFull } from "../../shared/redis/script.ts";
import { SealError, type Sealer, sealerFor, tampered } from "../../shared/sealing/seal.ts";
import { createIncidentCalls, type IncidentCalls } from "./incident-calls.ts";
import { type Figures, openFigures } from "./figures.ts";
import { type CommandCalls, createCommandCalls } from "./command-calls.ts";
import { createTimelineCalls, type TimelineCalls } from "./timeline-calls.ts";
import { createEventCalls, type EventCalls } from "./event-calls.ts";
import { openRateLimiter, type TakePoints } from "./redis-rate-limiter.ts";
import { type Quotas, UNLIMITED } from "../config/quotas.ts";
import { createChannelSubscriber } from "./channel-subscriber.ts";

/** Maximum number of emit jobs that are being added to the queue at once. */
const MAX_WAKING = 1000;
/** Time to live of a test event, s. */
const TEST_TTL_S = 600;
/** How often it is logged that Redis refuses subscriptions, ms. */
const WARN_AGAIN_MS = 60_000;
/** How often the same forgery is recorded in the audit trail, ms. */
const FORGED_MS = 3_600_000;

/** The worker's last heartbeat, and its age. */
export interface LastHeartbeat {
  health: WorkerHealth;
  ageSeconds: number;
  /** Whether a worker holds the lease now. */
  owned: boolean;
}

/** The last heartbeat as stored in Redis; undefined if there is none. */
export type ReadHeartbeat = LastHeartbeat | DoubtedHeartbeat | undefined;

export const trustedHeartbeat = (heartbeat: ReadHeartbeat): LastHeartbeat | undefined =>
  heartbeat && "doubt" in heartbeat ? undefined : heartbeat;

/** The result of redriving a dead letter; `unreadable`: its payload cannot be opened, and why. */
export type Redriven = Appended | { outcome: "unreadable"; reason: string };

export type Revealed = { payload: string } | { unreadable: string };

/** The messages that wait for a destination, and the state that the last leader stored. */
export interface DestinationBacklog {
  id: string;
  backlog: Backlog;
  state: DestinationState | undefined;
}

/** The last attempts at a destination, its last replay and its last dry run; `asked`: the id of what was asked for last. */
export interface DestinationDetails {
  attempts: DestinationAttempt[];
  asked: string | undefined;
  replay: ReplayStatus | undefined;
  dryRun: ReplayStatus | undefined;
}

/** The commands' backlog; `full`: why no more of them are accepted; `crews`: of that role. */
export type CommandBacklog = Backlog & { full?: "redis" | "backlog" | "crews" };

/** Everything the functions ask of Redis. Every call ends within about a second, or the time it was asked to wait. */
export interface Backend extends EventCalls, CommandCalls, TimelineCalls, IncidentCalls {
  /** Stores a message, and wakes the worker if it sleeps. */
  accept(message: NewMessage): Promise<Appended>;
  /** @param destination whose outbox it is in; the commands' if undefined. Here and below. */
  read(id: string, destination?: string): Promise<MessageRecord | undefined>;
  /** Reads it once it is final, or when `ms` have passed. */
  readSettled(id: string, ms: number): Promise<MessageRecord | undefined>;
  backlog(): Promise<CommandBacklog>;
  queued(): Promise<Record<string, number>>;
  lastHeartbeat(): Promise<ReadHeartbeat>;
  /** Requests a reconnect; returns how many workers received that. */
  askReconnect(): Promise<number>;
  listDead(query: DeadQuery, destination?: string): Promise<DeadPage & { attempts?: Attempt[][] }>;
  /** Accepts a dead letter again under a new id, once however often it is asked; undefined if it is no dead letter. */
  redrive(id: string, newId: string, note: AuditNote, destination?: string): Promise<Redriven | undefined>;
  discardDead(id: string, destination?: string): Promise<boolean>;
  /** Figures that only the metrics show. */
  figures(): Promise<Figures>;
  /** A dead letter's payload as JSON; `unreadable`: it cannot be opened. undefined if it is none, or was discarded. */
  reveal(id: string, destination?: string): Promise<Revealed | undefined>;
  /** Every destination, also removed ones with messages left. */
  destinations(): Promise<DestinationBacklog[]>;
  /** Whether it is one of them. */
  isDestination(id: string): Promise<boolean>;
  /** Has the worker send to a paused or disabled destination again. */
  enableDestination(id: string): Promise<void>;
  /** Has the worker stop sending to it until somebody enables it. */
  pauseDestination(id: string, reason: string): Promise<void>;
  /** What is known of it beside its backlog. */
  destination(id: string): Promise<DestinationDetails>;
  /** Asks the worker for a replay; how it is, `destination` says. */
  askReplay(destination: string, request: ReplayRequest): Promise<void>;
  /** Puts a test event into its outbox. */
  sendTest(destination: string, id: string, at: Date): Promise<void>;
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
  const theirBounds = atMost(bounds.backlog);
  const outbox = openOutbox(redis, keys, sealer, bounds);
  const deadLetters = openDeadLetters(redis, keys, sealer, "command");
  const destinations = openDestinationStore(redis, prefix, sealer);
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
  const isFull = askWhetherFull(redis, keys.base);
  let queue: JobQueue | undefined;
  const waking = new Set<Promise<unknown>>();

  /** Something that no worker wrote was read: noted once an hour, however often it is read. */
  function noteForged(what: string): void {
    const once = { key: `forged ${what}`, ms: FORGED_MS };
    trail
      .note({ ...ownNote("functions", `FORGED ${what}`), once }, "forged", "")
      .catch((error: Error) => log.warn({ what, reason: whyFailed(error) }, "a forgery was not noted"));
  }

  /** A BullMQ queue that is created while Redis is down stays broken: so it is created at first use, if Redis is up. */
  function jobs(): JobQueue {
    if (!queue && redis.status !== "ready") throw new RedisFault("unavailable");
    return (queue ??= openJobQueue(redis, keys, log));
  }

  /** A queue that failed may be broken for good, if it was built while Redis hung: the next use builds another. */
  async function useQueue<T>(use: (queue: JobQueue) => Promise<T>): Promise<T> {
    try {
      return await use(jobs());
    } catch (error) {
      const broken = queue;
      queue = undefined;
      void broken?.close();
      throw error;
    }
  }

  /** It is in the outbox: if no emit job can be added, the worker's sweep finds it. Those that come meanwhile go together. */
  const addJob = batched(async (ids: string[]) => {
    try {
      await useQueue((jobQueue) => jobQueue.add(ids));
    } catch {
      log.warn(
        { command_id: ids[0], commands: ids.length },
        "accepted, but no emit job was added: the sweep will send it",
      );
    }
    return ids;
  });
  function wakeWorker(id: string): void {
    // So many jobs that wait to be added will wake it as well as one more.
    if (waking.size >= MAX_WAKING) return;
    const adding = addJob(id).finally(() => waking.delete(adding));
    waking.add(adding);
  }

  /** A repeat is accepted only if the stored record is what the functions wrote. Throws SealError. */
  async function believed(replayed: Appended & { outcome: "replayed" }, message: NewMessage): Promise<Appended> {
    const record = await outbox.read(replayed.id);
    if (!record) return replayed;
    if (sealer.keyed && !message.fingerprints.includes(record.fingerprint)) throw tampered("record");
    return { ...replayed, state: record.state, acceptedAt: record.acceptedAt };
  }

  async function accept(message: NewMessage): Promise<Appended> {
    const appended = await outbox.append(message);
    if (appended.outcome === "replayed") return await believed(appended, message);
    // Not waited for: it is accepted, and a broken queue delays no answer.
    if (appended.outcome === "accepted" && appended.due) wakeWorker(appended.id);
    return appended;
  }

  /** What is in a destination's outbox is sent by the worker's own sweep: it needs no job. */
  function outboxFor(destination: string | undefined) {
    if (destination === undefined) return { read: outbox.read, accept, deadLetters };
    const theirs = destinationKeys(prefix, destination);
    const { read, append } = openOutbox(redis, theirs, sealer, theirBounds);
    return {
      read,
      accept: append,
      deadLetters: openDeadLetters(redis, theirs, sealerFor(sealer, destination), "webhook"),
    };
  }

  const eventCalls = createEventCalls(redis, prefix, sealer, channel, noteForged);
  return {
    accept,

    read: (id, destination) => outboxFor(destination).read(id),

    async readSettled(id, ms) {
      return channel.during(keys.settledChannel(id), ms, async (news) => {
        for (let more = true; ; more = await news()) {
          const record = await outbox.read(id);
          if (!more || !record || isFinal(record.state)) return record;
        }
      });
    },

    async backlog() {
      const [backlog, redisIsFull] = await Promise.all([outbox.backlog(), isFull()]);
      if (redisIsFull) return { ...backlog, full: "redis" };
      const { backlog: most, bytes, reservePercent } = bounds;
      const fills = (percent: number) =>
        backlog.unsettled >= withoutReserve(most, percent) ||
        (bytes > 0 && backlog.unsettledBytes >= withoutReserve(bytes, percent));
      if (fills(0)) return { ...backlog, full: "backlog" };
      return fills(reservePercent) ? { ...backlog, full: "crews" } : backlog;
    },
    queued: () => useQueue((jobQueue) => jobQueue.counts()),

    async lastHeartbeat() {
      const [text, left, lease, time] = await Promise.all([
        redis.get(keys.health),
        redis.pttl(keys.health),
        redis.exists(keys.lease),
        redis.time(),
      ]);
      const health = parseHeartbeat(text, sealer, keys);
      if (health && "doubt" in health) {
        if (health.doubt === "forged") noteForged("heartbeat");
        return health;
      }
      if (!health || left < 0) return undefined;
      return { health, ageSeconds: heartbeatAge(health, left, toMicros(time)), owned: lease === 1 };
    },

    askReconnect: () => publish(redis, keys.controlChannel, "reconnect"),

    async listDead(query, destination) {
      const page = await outboxFor(destination).deadLetters.list(query);
      if (destination === undefined) return page;
      const messages = openMessageAttempts(redis, destinationKeys(prefix, destination), sealer);
      return { ...page, attempts: await Promise.all(page.letters.map(({ id }) => messages.read(id))) };
    },

    async redrive(id, newId, note, destination) {
      const from = outboxFor(destination);
      const message = await from.deadLetters.again(id, newId).catch((error: unknown) => {
        if (error instanceof SealError) return error;
        throw error;
      });
      if (message instanceof SealError) return { outcome: "unreadable", reason: message.message };
      const appended = message && (await from.accept({ ...message, note: { ...note, about: message.keys } }));
      if (appended && "id" in appended) await from.deadLetters.noteRedriven(id, appended.id);
      return appended;
    },

    async discardDead(id, destination) {
      const due = await outboxFor(destination).deadLetters.discard(id);
      due?.forEach(wakeWorker);
      return due !== undefined;
    },

    async reveal(id, destination) {
      try {
        const payload = await outboxFor(destination).deadLetters.reveal(id);
        return payload === undefined ? undefined : { payload };
      } catch (error) {
        if (error instanceof SealError) return { unreadable: error.message };
        throw error;
      }
    },

    async destinations() {
      const ids = (await destinations.ids()).toSorted();
      const boxes = ids.map((id) => openOutbox(redis, destinationKeys(prefix, id), sealer, theirBounds).backlog());
      const [backlogs, states] = await Promise.all([
        Promise.all(boxes),
        Promise.all(ids.map((id) => destinations.load(id))),
      ]);
      return backlogs.map((backlog, i) => ({ id: ids[i] ?? "", backlog, state: states[i] }));
    },
    figures: openFigures(redis, keys, prefix),
    isDestination: destinations.has,
    enableDestination: destinations.enable,
    pauseDestination: destinations.pause,
    async destination(id) {
      const [attempts, asked, replay, dryRun] = await Promise.all([
        destinations.attempts(id),
        destinations.replayAsked(id),
        destinations.replay(id, "replay"),
        destinations.replay(id, "dry-run"),
      ]);
      return { attempts, asked: asked?.id, replay, dryRun };
    },
    askReplay: destinations.askReplay,
    async sendTest(destination, id, at) {
      const body = testEvent(id, sourceOf(prefix), at);
      const appended = await outboxFor(destination).accept({
        ...{ id, kind: TEST_EVENT, keys: ["other"], user: "bridge", role: "admin", fingerprints: [id] },
        body: await sealerFor(sealer, destination).seal("webhook", id, body),
        ...{ latestWins: false, ttlSeconds: TEST_TTL_S, idempotencyKey: undefined },
      });
      if (appended.outcome === "full") throw new RedisFault("full");
    },

    note: trail.note,
    listAudit: trail.list,
    ...eventCalls,
    ...createTimelineCalls(redis, prefix, sealer, eventCalls, openOutcomeReader(redis, prefix, sealer), outbox.read),
    ...createIncidentCalls(redis, prefix, sealer),
    ...createCommandCalls(redis, prefix, sealer, outbox.read),
    takePoints: openRateLimiter(redis, keys, quotas),

    endWaits: channel.stop,
    async close() {
      await Promise.all(waking);
      await queue?.close();
    },
  };
}
