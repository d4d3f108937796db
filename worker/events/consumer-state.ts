/**
 * The states of a consumer, which takes one handler through the journal.
 *
 * | state | what it does | leaves on |
 * | --- | --- | --- |
 * | `placing` | looks up the handler's cursor; nothing may be written before, or a new handler would miss it | `placed` |
 * | `reading` | is behind: takes one page of the journal after another | `page` with `last`, `rewind` |
 * | `following` | has caught up: takes what is written from memory, without reading it again | `overflowed`, `rewind` |
 * | `rewinding` | a replay begins: ends what is in hand, and goes back to where the replay begins | `rewound` |
 * | `retrying` | the last step failed (Redis away, a key missing): waits, then does it again | `waited` |
 * | `stopped` | the worker stops; nothing follows | |
 *
 * While the last page is read, what is written meanwhile is buffered, so that none is missed between `reading` and `following`.
 */
export type ConsumerState =
  | { name: "placing" }
  | { name: "reading" }
  | { name: "following" }
  | { name: "rewinding" }
  | { name: "retrying"; step: "placing" | "reading" | "rewinding" }
  | { name: "stopped" };

export type ConsumerEvent =
  /** The cursor is known. */
  | { type: "placed" }
  /** A page of the journal was taken; `last`: nothing was behind it. */
  | { type: "page"; last: boolean }
  /** What was buffered was taken. */
  | { type: "batch" }
  /** More was written than the buffer holds: the rest is in the journal only. */
  | { type: "overflowed" }
  /** The handler is to go back in the journal. */
  | { type: "rewind" }
  | { type: "rewound" }
  | { type: "failed" }
  | { type: "waited" }
  | { type: "stop" };

export const INITIAL: ConsumerState = { name: "placing" };

/** The state after an event. An event that does not fit the state changes nothing. */
export function nextState(state: ConsumerState, event: ConsumerEvent): ConsumerState {
  if (event.type === "stop" || state.name === "stopped") return { name: "stopped" };
  if (event.type === "failed") {
    if (state.name === "retrying") return state;
    return { name: "retrying", step: state.name === "following" ? "reading" : state.name };
  }
  switch (state.name) {
    case "placing":
      return event.type === "placed" ? { name: "reading" } : state;
    case "reading":
      if (event.type === "rewind") return { name: "rewinding" };
      return event.type === "page" && event.last ? { name: "following" } : state;
    case "following":
      if (event.type === "rewind") return { name: "rewinding" };
      return event.type === "overflowed" ? { name: "reading" } : state;
    case "rewinding":
      return event.type === "rewound" ? { name: "reading" } : state;
    case "retrying":
      return event.type === "waited" ? { name: state.step } : state;
  }
}
