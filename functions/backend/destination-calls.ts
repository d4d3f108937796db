import type { Redis } from "ioredis";
import type { DestinationAttempt } from "../../shared/destinations/attempts.ts";
import type { ReplayRequest, ReplayStatus } from "../../shared/destinations/replay.ts";
import { sourceOf } from "../../shared/destinations/source.ts";
import { type DestinationState, openDestinationStore } from "../../shared/destinations/store.ts";
import { TEST_EVENT, testEvent } from "../../shared/destinations/test-event.ts";
import type { Backlog } from "../../shared/outbox/backlog.ts";
import { RedisFault } from "../../shared/redis/fault.ts";
import { type Sealer, sealerFor } from "../../shared/sealing/seal.ts";
import type { OutboxFor } from "./outboxes.ts";

/** Time to live of a test event, s. */
const TEST_TTL_S = 600;

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

/** The services that the CAD's events go to. */
export interface DestinationCalls {
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
}

export function createDestinationCalls(
  redis: Redis,
  prefix: string,
  sealer: Sealer,
  outboxFor: OutboxFor,
): DestinationCalls {
  const destinations = openDestinationStore(redis, prefix, sealer);
  return {
    async destinations() {
      const ids = (await destinations.ids()).toSorted();
      const boxes = ids.map((id) => outboxFor(id).backlog());
      const [backlogs, states] = await Promise.all([
        Promise.all(boxes),
        Promise.all(ids.map((id) => destinations.load(id))),
      ]);
      return backlogs.map((backlog, i) => ({ id: ids[i] ?? "", backlog, state: states[i] }));
    },
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
  };
}
