import { commandNamed } from "../../shared/commands/table.ts";
import { fromDisk } from "../../shared/config/program.ts";
import { openDestinationStore } from "../../shared/destinations/store.ts";
import { journalKeys } from "../../shared/journal/keys.ts";
import type { OwnedOutbox } from "../../shared/outbox/owned.ts";
import type { Changes } from "../../shared/util/changes.ts";
import { parseConfirmModes } from "../cad/confirm-modes.ts";
import { type CadConnection, startCadConnection } from "../cad/connection.ts";
import { endpointOf } from "../cad/endpoint.ts";
import { openRoomStore } from "../cad/rooms.ts";
import { tokenSource } from "../cad/token.ts";
import { type Admission, createAdmission } from "../admission/admission.ts";
import { createDeliver } from "../commands/deliver.ts";
import { createUnannounced } from "../commands/unannounced.ts";
import { CONCURRENCY, createDispatcher, type Dispatcher } from "../delivery/dispatcher.ts";
import { createExchange, type Exchange } from "../delivery/exchange.ts";
import type { Forgeries } from "../delivery/forgeries.ts";
import { type Jobs, openJobs } from "../delivery/job-watchdog.ts";
import { createPayloads, type Payloads } from "../delivery/payloads.ts";
import { type Destinations, startDestinations } from "../destinations/destinations.ts";
import { type CadEvents, createCadEvents } from "../events/pipeline.ts";
import type { LeaderOptions } from "./leader.ts";

/** A CAD that does not respond is noticed within the sum of these two, ms. */
const BARRIER_IDLE_MS = 3000;
const BARRIER_TIMEOUT_MS = 5000;
/** How the queue is watched, ms: see worker/delivery/job-watchdog.ts. */
const QUEUE_CANARY_MS = 5000;
const QUEUE_SILENT_MS = 15_000;
export const DAY_MS = 24 * 3_600_000;

/** What the parts have in common. */
export interface PartsOptions extends LeaderOptions {
  outbox: OwnedOutbox;
  forgeries: Forgeries;
  /** Called with the time from a command's acceptance to its final state, ms. */
  onSettled?(ms: number): void;
  /** Something changed that the heartbeat reports. */
  changes: Changes;
  /** Aborted when nothing may be sent any more. */
  signal: AbortSignal;
  /** Aborted when the CAD is disconnected: until then, what it sends is written. */
  closing: AbortSignal;
}

/** The path of the CAD's events: journal, handlers, destinations. */
export function createEventPath(options: PartsOptions): { destinations: Destinations; cadEvents: CadEvents } {
  const { config, redis, lease, changes, sealer, forgeries } = options;
  const destinations = startDestinations({
    ...options,
    store: openDestinationStore(redis, config.REDIS_PREFIX, sealer, (id) => forgeries.note("destination", id)),
    token: lease.token,
    deadKeptMs: config.DEAD_LETTER_DAYS * DAY_MS,
    mayEmit: lease.held,
    onChange: changes.notify,
  });
  const cadEvents = createCadEvents({
    ...options,
    keys: journalKeys(config.REDIS_PREFIX),
    token: lease.token,
    more: [...options.handlers, ...destinations.handlers],
    signal: options.closing,
  });
  return { destinations, cadEvents };
}

/** The connection to the CAD, and what decides which commands may be sent on it. */
export function createCadAccess(
  options: PartsOptions,
  { inbound, recovery }: CadEvents,
  cadChanges: Changes,
): { connection: CadConnection; admission: Admission } {
  const { config, redis, keys, outbox, log } = options;
  const connection = startCadConnection({
    ...options,
    endpoint: endpointOf(config),
    token: tokenSource(config.CAD_BACKEND_AUTH_TOKEN, config.secretFiles["CAD_BACKEND_AUTH_TOKEN"], fromDisk, log),
    rooms: openRoomStore(redis, keys, options.sealer, () => options.forgeries.note("record", "room"), log),
    modeOf: parseConfirmModes(config.CAD_CONFIRM),
    times: {
      confirmMs: config.CAD_CONFIRM_TIMEOUT_MS,
      authWaitMs: config.CAD_AUTH_WAIT_MS,
      barrierHoldMs: config.CAD_BARRIER_HOLD_MS,
      barrierTimeoutMs: BARRIER_TIMEOUT_MS,
      barrierIdleMs: BARRIER_IDLE_MS,
    },
    onEvent: (event, payload, own, missed) => inbound.take({ event, payload, own, ...(missed && { recovered: true }) }),
    onOpen: recovery.follow,
    onChange: cadChanges.notify,
  });
  const admission = createAdmission({
    ...options,
    notReady: () => (connection.status().ready ? undefined : "the CAD is not connected, or not ready yet"),
    connection: () => connection.status().connections,
    confirmMs: config.CAD_CONFIRM_TIMEOUT_MS,
    async read(id) {
      const about = await outbox.aboutOf(id);
      const command = about && commandNamed(about.kind);
      return (
        about &&
        command && { id, event: command.emits[0], effect: command.effect, keys: about.keys, caller: about.user }
      );
    },
  });
  return { connection, admission };
}

/** The path of a command, from the queue to the CAD. */
export function createCommandPath(
  options: PartsOptions,
  { connection, admission }: { connection: CadConnection; admission: Admission },
  { inbound }: CadEvents,
): { jobs: Jobs; dispatcher: Dispatcher; exchange: Exchange; payloads: Payloads } {
  const { config, sealer, lease, forgeries, signal, outbox, log } = options;
  const payloads = createPayloads(sealer, log, (id) => forgeries.note("command", id));
  // Not the circuit breaker: while it lets single commands through as probes, they have to be brought to it.
  const isOpen = () => connection.status().ready && !admission.isFull();
  const exchange = createExchange({ outbox, signal, log });
  async function ensure(ids: readonly string[]): Promise<number> {
    const added = await outbox.makeReady(ids);
    await exchange.wake();
    return added;
  }
  const deliver = createDeliver({
    ...options,
    outbox: { ...outbox, settle: exchange.settle },
    admission,
    confirmMs: config.CAD_CONFIRM_TIMEOUT_MS,
    payloads,
    send: connection.send,
    unannounced: createUnannounced(inbound, signal),
    mayEmit: lease.held,
    onPutBack: (id) => forgeries.note("command", id),
  });
  const jobs = openJobs({
    ...options,
    connect: options.connectQueue,
    concurrency: CONCURRENCY,
    isOpen: () => admission.closedBecause() === undefined && !exchange.isAwake(),
    canaryMs: QUEUE_CANARY_MS,
    // Every place may be held by a command that waits for its confirmation: that is no silence.
    silentMs: QUEUE_SILENT_MS + config.CAD_CONFIRM_TIMEOUT_MS,
  });
  const dispatcher = createDispatcher({
    ...options,
    queue: { add: async (ids) => void (await ensure(ids)), ensure },
    queuesAll: true,
    deliver,
    isOpen,
  });
  exchange.start({
    room: () => ({ take: isOpen() ? dispatcher.room() : 0, begins: admission.admitsAll() }),
    inHand: dispatcher.inHand,
    onTaken: ({ id, begun }, asked) => dispatcher.take(id, begun && { begun, asked }),
  });
  return { jobs, dispatcher, exchange, payloads };
}
