/**
 * What becomes of a message in the outbox: `queued`, then `sent`, then exactly one of the final states. Of a destination's
 * messages: `confirmed` if it answered 2xx, else `failed`.
 *
 * - `confirmed`: the CAD acked it, or broadcast its echo
 * - `received`: the CAD's process has it, and neither ack nor echo is to be expected for it
 * - `unconfirmed`: the CAD's process has it, but the ack or echo that was to be expected did not come in time
 * - `rejected`: the CAD said no for good
 * - `failed`: its attempts are used up
 * - `expired`: its time to live passed before it could be delivered; where it was sent already, the CAD may have it
 * - `superseded`: a newer value took its place
 */
export const FINAL_STATES = [
  "confirmed",
  "received",
  "unconfirmed",
  "rejected",
  "failed",
  "expired",
  "superseded",
] as const;
export type FinalState = (typeof FINAL_STATES)[number];

export const STATES = ["queued", "sent", ...FINAL_STATES] as const;
export type State = (typeof STATES)[number];

/** Not known to be delivered, and kept with the reason so that somebody can send them again. */
export const DEAD_STATES = ["rejected", "failed", "expired"] as const satisfies readonly FinalState[];

/** Those and what the CAD has and did not confirm: kept as well, and sent again only if somebody asks for this state. */
export const REDRIVABLE_STATES = [...DEAD_STATES, "unconfirmed"] as const satisfies readonly FinalState[];
export type RedrivableState = (typeof REDRIVABLE_STATES)[number];
export const isRedrivable = (state: State): state is RedrivableState =>
  (REDRIVABLE_STATES as readonly State[]).includes(state);

/** Those that hold their place if their kind is in HOLD. Of an expired one it was said beforehand that nobody needs it later. */
export const HOLDING_STATES = ["rejected", "failed"] as const satisfies readonly FinalState[];
export const mayHold = (state: State): boolean => (HOLDING_STATES as readonly State[]).includes(state);

export const isFinal = (state: State): state is FinalState => state !== "queued" && state !== "sent";
export const isDead = (state: State): state is (typeof DEAD_STATES)[number] =>
  (DEAD_STATES as readonly State[]).includes(state);
