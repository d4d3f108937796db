import { untilAborted } from "../../shared/util/sleep.ts";
import type { Log } from "../../shared/util/log.ts";
import type { Leader } from "./leader.ts";
import { INITIAL, type LeadershipEvent, type LeadershipState, nextState } from "./leadership-state.ts";
import type { Lease } from "./lease.ts";

export interface LeadershipOptions {
  instance: string;
  /** Aborted when the worker is asked to stop. */
  signal: AbortSignal;
  log: Log;
}

/** What a term begins with. */
export interface TermStart {
  /** Waits for the lease; undefined if the worker is asked to stop first. */
  acquire(): Promise<Lease | undefined>;
  /** Starts all that runs while the lease is held. */
  lead(lease: Lease): Leader;
  /** A term ended, and the lease was given up. */
  released?: (() => void) | undefined;
}

/** Takes the worker through the states of leadership-state.ts. */
export interface Leadership {
  /** What runs while the lease is held; undefined while the worker stands by. */
  leader(): Leader | undefined;
  /** Ends the present term as a stop does, and stands by again. Nothing while it stands by. */
  handOver(): void;
  /** Until the signal aborts and everything has ended. Rejects if a part fails that cannot be started again. */
  run(start: TermStart): Promise<void>;
}

/** The states in which the leader's parts exist. */
type Term = Exclude<LeadershipState, "standby" | "stopped">;
const isTerm = (state: LeadershipState): state is Term => state !== "standby" && state !== "stopped";

export function createLeadership({ signal, log, instance }: LeadershipOptions): Leadership {
  let state: LeadershipState = INITIAL;
  let current: Leader | undefined;
  let handingOver = new AbortController();

  async function serveTerm(lease: Lease, leader: Leader, released?: () => void): Promise<void> {
    current = leader;
    handingOver = new AbortController();
    const { signal: givenAway } = handingOver;
    const steps: Record<Term, () => Promise<LeadershipEvent>> = {
      async leading() {
        await untilAborted(AbortSignal.any([lease.lost, signal, givenAway]));
        if (lease.lost.aborted) return { type: "lost" };
        return { type: signal.aborted ? "stop" : "hand-over" };
      },
      async settling() {
        await leader.settle(lease.lost);
        return { type: lease.lost.aborted ? "lost" : "settled" };
      },
      async closing() {
        await leader.close();
        return { type: "closed", held: !lease.lost.aborted, stopping: signal.aborted };
      },
      async "handing-over"() {
        await leader.goodbye();
        await lease.release();
        released?.();
        return { type: "released", stopping: signal.aborted };
      },
    };
    while (isTerm(state)) state = nextState(state, await steps[state]());
    current = undefined;
  }

  return {
    leader: () => current,
    handOver: () => handingOver.abort(),
    async run({ acquire, lead, released }) {
      while (state === "standby") {
        const lease = await acquire();
        state = nextState(state, { type: lease ? "acquired" : "stop" });
        if (!lease) continue;
        log.info({ instance, epoch: lease.epoch }, "this worker is the leader");
        await serveTerm(lease, lead(lease), released);
      }
    },
  };
}
