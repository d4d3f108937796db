import type { Redis } from "ioredis";
import { chainKeys } from "../../shared/audit/chain.ts";
import { openAuditTrail } from "../../shared/audit/trail.ts";
import type { Found } from "../../shared/health/problems.ts";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";
import { KEPT_MS } from "../../shared/outbox/outbox.ts";
import { NotOwner, openOwnedOutbox } from "../../shared/outbox/owned.ts";
import type { Measure } from "../../shared/metrics/measure.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import type { Tracer } from "../../shared/tracing/tracer.ts";
import { createChanges } from "../../shared/util/changes.ts";
import type { Log } from "../../shared/util/log.ts";
import { sleep } from "../../shared/util/sleep.ts";
import type { WorkerConfig } from "../config/worker-env.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { tokenSource } from "../cad/token.ts";
import { watchForged } from "../delivery/forged-watch.ts";
import { createForgeries } from "../delivery/forgeries.ts";
import type { Destination } from "../destinations/routes.ts";
import type { Handler } from "../events/handlers/handler.ts";
import { createPager } from "../paging/pager.ts";
import { createAuditChainer } from "./audit-chain.ts";
import { createCanary } from "./canary.ts";
import { createHealth, createHeartbeat } from "./heartbeat.ts";
import { createHeldWatch } from "./held-watch.ts";
import { createHistory } from "./history.ts";
import { createCadAccess, createCommandPath, createEventPath, DAY_MS } from "./leader-parts.ts";
import type { Lease } from "./lease.ts";

/** How long a stop lets what is in flight be confirmed, ms; with REST_MS it stays under 10 s. */
const IN_FLIGHT_GRACE_MS = 5000;
const REST_MS = 1000;

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
  /** Handlers of the CAD's events, beside the built-in ones. */
  handlers: readonly Handler[];
  /** No job comes out of the queue, even on a new connection: the process should end, so that another worker takes over. */
  onWedged(): void;
  /** Problems that are detected outside of the leader. */
  problems: readonly (() => readonly Found[])[];
  measure: Measure;
  tracer?: Tracer;
  random: () => number;
  log: Log;
}

/**
 * All that runs while this worker holds the lease. leadership.ts ends it: `settle` (unless the lease is lost), `close`, and
 * `goodbye` (if the lease is still held).
 */
export interface Leader {
  health(): WorkerHealth;
  reconnect(): void;
  /** Takes over other destinations and rules, without an interruption of the others. */
  route(destinations: readonly Destination[]): void;
  /** Commands are ready to be sent. */
  wake(): void;
  /** Sends nothing more, and waits for what is in flight: at most 5 s, or until the signal aborts. */
  settle(lost: AbortSignal): Promise<void>;
  /** Disconnects from the CAD and ends every loop. */
  close(): Promise<void>;
  /** Writes the last heartbeat, which says that this worker has stopped. */
  goodbye(): Promise<void>;
}

export function startLeader(options: LeaderOptions): Leader {
  const { config, redis, keys, lease, sealer, log } = options;
  const sending = new AbortController();
  const receiving = new AbortController();
  const { signal } = sending;
  const deadKeptMs = config.DEAD_LETTER_DAYS * DAY_MS;
  const outbox = openOwnedOutbox(redis, keys, sealer, lease.token, deadKeptMs, KEPT_MS, new Set(config.HOLD));
  const forgeries = createForgeries(openAuditTrail(redis, keys, sealer), log);
  const changes = createChanges();
  const cadChanges = createChanges();

  const shared = { ...options, outbox, forgeries, changes, signal, closing: receiving.signal };
  const { destinations, cadEvents } = createEventPath(shared);
  const { connection, admission } = createCadAccess(shared, cadEvents, cadChanges);
  const history = createHistory({ ...shared, ready: () => admission.closedBecause() === undefined });
  const commandPath = { ...shared, onSettled: history.settled };
  const { jobs, dispatcher, exchange, payloads } = createCommandPath(commandPath, { connection, admission }, cadEvents);
  const audit = createAuditChainer({
    ...shared,
    secrets: chainKeys(config.AUDIT_KEY, config.PAYLOAD_KEYS),
    adopt: config.AUDIT_ADOPT,
    keptMs: config.AUDIT_DAYS * DAY_MS,
  });
  const { CANARY_TOKEN: canaryToken = "" } = config;
  const canary = createCanary({
    ...shared,
    token: tokenSource(canaryToken, config.secretFiles["CANARY_TOKEN"], fromDisk, log, "CANARY_TOKEN"),
    ready: () => connection.status().ready,
    wake: () => exchange.wake(),
  });
  const held = createHeldWatch({ redis, keys, signal });
  const problems = [...options.problems, forgeries.problems, cadEvents.problems, canary.problems, held.problems];
  const parts = { connection, admission, jobs, payloads, audit, cadEvents, destinations };
  const health = createHealth({ ...options, ...parts, problems });
  const heartbeat = createHeartbeat(redis, keys, sealer, health, signal);
  cadChanges.listen(() => admission.update());
  cadChanges.listen(changes.notify);
  changes.listen(heartbeat.changed);

  cadChanges.listen(wake);

  jobs.start(exchange.wake);
  const sent = Promise.all([dispatcher.run(), destinations.run()]);
  const received = cadEvents.run().catch((error: unknown) => {
    if (!(error instanceof NotOwner)) throw error;
  });
  const pager = createPager({
    ...shared,
    token: lease.token,
    problems: () => health.report().problems,
    inbound: cadEvents.inbound,
    signal,
  });
  const forged = watchForged({
    ...shared,
    onForged: (id) => forgeries.note("command", id),
    onRunnable: (ids) => void outbox.makeReady(ids).then(wake, () => undefined),
  });
  const loops = [heartbeat.run(), history.run(), audit.run(), pager.run(), canary.run(), held.run(), forged];
  const others = Promise.all(loops);

  function wake(): void {
    exchange.wake().catch(() => undefined);
  }

  function stopSending(): void {
    if (signal.aborted) return;
    jobs.pause();
    sending.abort();
  }

  return {
    health: health.report,
    reconnect: connection.reconnect,
    route(next) {
      const { added, removed } = destinations.update(next);
      removed.forEach(cadEvents.remove);
      added.forEach(cadEvents.add);
    },
    wake,
    async settle(lost) {
      stopSending();
      await Promise.race([sent, sleep(IN_FLIGHT_GRACE_MS, lost)]);
    },
    async close() {
      stopSending();
      await connection.stop();
      receiving.abort();
      await destinations.close();
      // While Redis is away they may take longer than a stop may: what they hold is in Redis all the same.
      await Promise.race([Promise.all([sent, received, others]), sleep(REST_MS)]);
      await jobs.stop();
    },
    goodbye: heartbeat.goodbye,
  };
}
