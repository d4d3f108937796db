/**
 * The states of a worker with regard to the lease. At most one worker holds the lease and is the leader; the others stand by.
 *
 * | state | what the worker does | leaves on |
 * | --- | --- | --- |
 * | `standby` | asks for the lease | `acquired`, `stop` |
 * | `leading` | holds the CAD connection, sends, settles, writes the journal | `lost`, `stop`, `hand-over` |
 * | `settling` | sends nothing more, and waits a few seconds for what is in flight to be confirmed | `settled`, `lost` |
 * | `closing` | disconnects from the CAD, writes what was received, ends every loop | `closed` |
 * | `handing-over` | writes the last heartbeat and releases the lease, so that a standby takes over at once | `released`: it ends if it was asked to stop, and stands by again if it handed the CAD over |
 * | `stopped` | the worker ends | |
 *
 * Without the lease nothing can be settled or handed over: a leader that lost it closes at once and stands by again.
 */
export type LeadershipState = "standby" | "leading" | "settling" | "closing" | "handing-over" | "stopped";

export type LeadershipEvent =
  | { type: "acquired" }
  /** The worker is asked to stop, while it stands by or leads. */
  | { type: "stop" }
  /** Another worker is to have the CAD: see worker/fleet/share.ts. */
  | { type: "hand-over" }
  /** The lease lapsed, or another worker has it. */
  | { type: "lost" }
  /** Nothing is in flight any more, or the time for that is over. */
  | { type: "settled" }
  /** `held`: the lease is still ours; `stopping`: the worker was asked to stop. */
  | { type: "closed"; held: boolean; stopping: boolean }
  | { type: "released"; stopping: boolean };

export const INITIAL: LeadershipState = "standby";

/** The state after an event. An event that does not fit the state changes nothing. */
export function nextState(state: LeadershipState, event: LeadershipEvent): LeadershipState {
  switch (state) {
    case "standby":
      if (event.type === "acquired") return "leading";
      return event.type === "stop" ? "stopped" : state;
    case "leading":
      if (event.type === "lost") return "closing";
      return event.type === "stop" || event.type === "hand-over" ? "settling" : state;
    case "settling":
      return event.type === "settled" || event.type === "lost" ? "closing" : state;
    case "closing":
      if (event.type !== "closed") return state;
      if (event.held) return "handing-over";
      return event.stopping ? "stopped" : "standby";
    case "handing-over":
      if (event.type !== "released") return state;
      return event.stopping ? "stopped" : "standby";
    case "stopped":
      return state;
  }
}
