import type { Redis } from "ioredis";
import { chainKeys } from "../../shared/audit/chain.ts";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";
import type { Found } from "../../shared/health/problems.ts";
import type { Log } from "../../shared/util/log.ts";
import { journalKeys } from "../../shared/journal/keys.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { NotOwner, openOwnedOutbox } from "../../shared/outbox/owned.ts";
import { fromDisk } from "../../shared/config/program.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { startCadConnection } from "../cad/connection.ts";
import { parseConfirmModes } from "../cad/confirm-modes.ts";
import { endpointOf } from "../cad/endpoint.ts";
import { openRoomStore } from "../cad/rooms.ts";
import { tokenSource } from "../cad/token.ts";
import type { WorkerConfig } from "../config.ts";
import { createAuditChainer } from "./audit-chain.ts";
import { createDeliver } from "../commands/deliver.ts";
import { CONCURRENCY, createDispatcher } from "../delivery/dispatcher.ts";
import { commandNamed } from "../../shared/commands/table.ts";
import { createAdmission } from "../commands/admission.ts";
import { createCadEvents } from "../events/pipeline.ts";
import { startJobWatchdog } from "../delivery/job-watchdog.ts";
import type { Lease } from "./lease.ts";
import type { Handler } from "../events/handlers/handler.ts";
import { openAuditTrail } from "../../shared/audit/trail.ts";
import { createForgeries } from "../delivery/forgeries.ts";
import { createPayloads } from "../delivery/payloads.ts";
import { createHealth, createHeartbeat } from "./heartbeat.ts";
import { startDestinations } from "../destinations/destinations.ts";
import type { Destination } from "../destinations/routes.ts";
import { openDestinationStore } from "../../shared/destinations/store.ts";
import { createUnannounced } from "../commands/unannounced.ts";

/** A hanging CAD is noticed within the sum of these two, ms. */
const BARRIER_IDLE_MS = 3000;
const BARRIER_TIMEOUT_MS = 5000;
/** How long a stop lets what is in flight be confirmed, ms; with the rest it stays under 10 s. */
const IN_FLIGHT_GRACE_MS = 5000;
const REST_MS = 1000;
/** How the queue is watched, ms: see worker/delivery/job-watchdog.ts. */
const QUEUE_CANARY_MS = 5000;
const QUEUE_SILENT_MS = 15_000;
const DAY_MS = 24 * 3_600_000;

export interface LeaderOptions {
  config: WorkerConfig;
  destinations: readonly Destination[];
  instance: string;
  redis: Redis;
  /** Opens a connection for BullMQ. */
  connectQueue(): Redis;
  keys: OutboxKeys;
  sealer: Sealer;
  lease: Lease;
  /** Of the CAD's events, beside the built-in ones. */
  handlers: readonly Handler[];
  /** No job comes out of the queue, and nothing helps: the process had better end. */
  onWedged(): void;
  /** What is wrong with what this worker does not hold itself. */
  problems: readonly (() => readonly Found[])[];
  random: () => number;
  log: Log;
}

/** All that runs while this worker owns the CAD. */
export interface Leader {
  health(): WorkerHealth;
  reconnect(): void;
  /** Idempotent. `settle`: lets what is in flight be confirmed first; not when the lease is lost. */
  stop(settle: boolean): Promise<void>;
}

export function startLeader(options: LeaderOptions): Leader {
  const { config, redis, keys, lease, sealer, random, log } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  /** What the CAD sends is written for as long as it is heard. */
  const closing = new AbortController();
  const outbox = openOwnedOutbox(redis, keys, sealer, lease.token, config.DEAD_LETTER_DAYS * DAY_MS);
  const forgeries = createForgeries(openAuditTrail(redis, keys), log);
  const destinations = startDestinations({
    forgeries,
    destinations: options.destinations,
    config,
    redis,
    book: openDestinationStore(redis, config.REDIS_PREFIX),
    sealer,
    token: lease.token,
    deadKeptMs: config.DEAD_LETTER_DAYS * DAY_MS,
    mayEmit: lease.held,
    onChange: () => reporter.changed(),
    signal,
    random,
    log,
  });
  const cadEvents = createCadEvents({
    config,
    redis,
    keys: journalKeys(config.REDIS_PREFIX),
    sealer,
    token: lease.token,
    more: [...options.handlers, ...destinations.handlers],
    random,
    signal: closing.signal,
    log,
  });

  const connection = startCadConnection({
    endpoint: endpointOf(config),
    token: tokenSource(config.CAD_BACKEND_AUTH_TOKEN, config.secretFiles["CAD_BACKEND_AUTH_TOKEN"], fromDisk, log),
    rooms: openRoomStore(redis, keys, log),
    modeOf: parseConfirmModes(config.CAD_CONFIRM),
    times: {
      confirmMs: config.CAD_CONFIRM_TIMEOUT_MS,
      authWaitMs: config.CAD_AUTH_WAIT_MS,
      barrierHoldMs: config.CAD_BARRIER_HOLD_MS,
      barrierTimeoutMs: BARRIER_TIMEOUT_MS,
      barrierIdleMs: BARRIER_IDLE_MS,
    },
    onEvent: (event, payload, own, missed) =>
      cadEvents.inbound.take({ event, payload, own, ...(missed && { recovered: true }) }),
    onLine: cadEvents.recovery.follow,
    onChange: () => {
      admission.changed();
      reporter.changed();
    },
    random,
    log,
  });
  const admission = createAdmission({
    notReady: () => (connection.status().ready ? undefined : "the CAD is not connected, or not ready yet"),
    connection: () => connection.status().connections,
    async read(id) {
      const about = await outbox.aboutOf(id);
      const command = about && commandNamed(about.kind);
      return (
        about &&
        command && { id, event: command.emits[0], effect: command.effect, keys: about.keys, caller: about.user }
      );
    },
    signal,
    random,
  });
  const payloads = createPayloads(sealer, log, (id) => forgeries.note("command", id));
  const deliver = createDeliver({
    outbox,
    admission,
    confirmMs: config.CAD_CONFIRM_TIMEOUT_MS,
    payloads,
    send: connection.send,
    unannounced: createUnannounced(cadEvents.inbound, signal),
    mayEmit: lease.held,
    signal,
    random,
    log,
  });
  const isOpen = () => admission.shut() === undefined;
  const jobs = startJobWatchdog({
    connect: options.connectQueue,
    keys,
    concurrency: CONCURRENCY,
    handle: (id) => drain.onJob(id),
    isOpen,
    canaryMs: QUEUE_CANARY_MS,
    // Every place may be held by a command that waits for its confirmation: that is no silence.
    silentMs: QUEUE_SILENT_MS + config.CAD_CONFIRM_TIMEOUT_MS,
    onWedged: options.onWedged,
    signal,
    log,
  });
  const drain = createDispatcher({
    outbox,
    queue: jobs.queue,
    async deliver(id) {
      const delivered = await deliver(id);
      jobs.consumed();
      return delivered;
    },
    // Not the circuit breaker: one that lets single commands through needs somebody to bring them.
    isOpen: () => connection.status().ready && !admission.isFull(),
    signal,
    log,
  });
  const audit = createAuditChainer({
    redis,
    keys,
    secrets: chainKeys(config.AUDIT_KEY),
    keptMs: config.AUDIT_DAYS * DAY_MS,
    signal,
    log,
  });
  const health = createHealth({
    ...options,
    problems: [...options.problems, forgeries.problems, cadEvents.problems],
    connection,
    admission,
    jobs,
    payloads,
    audit,
    cadEvents,
    destinations,
  });
  const reporter = createHeartbeat(redis, keys, health, signal);

  const draining = Promise.all([drain.run(), destinations.run()]);
  const listening = cadEvents.run().catch((error: unknown) => {
    if (!(error instanceof NotOwner)) throw error;
  });
  const reporting = reporter.run();
  const chaining = audit.run();

  let stopped: Promise<void> | undefined;
  async function stop(settle: boolean): Promise<void> {
    jobs.pause();
    stopping.abort();
    // Without the lease, as when Redis is away, nothing can be settled any more.
    if (settle) await Promise.race([draining, sleep(IN_FLIGHT_GRACE_MS, lease.lost)]);
    await connection.stop();
    closing.abort();
    await destinations.close();
    // While Redis is away they may take longer than a stop may: what they hold is in Redis all the same.
    await Promise.race([Promise.all([draining, reporting, listening, chaining]), sleep(REST_MS)]);
    await jobs.stop();
    if (settle && !lease.lost.aborted) await reporter.goodbye();
  }

  return {
    health: health.report,
    reconnect: connection.reconnect,
    stop: (settle) => (stopped ??= stop(settle)),
  };
}
