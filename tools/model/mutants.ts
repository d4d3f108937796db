/**
 * Bugs that can be seeded into the model, one at a time, to show that the checker finds them. Each breaks one rule of the protocol.
 */
export const MUTANTS = {
  "claim-without-lease": "a claim does not check that the lease is this worker's",
  "claim-without-head": "a claim does not check that the command is at the head of all its queues",
  "claim-of-final": "a claim sends a command again that is final already",
  "no-claim-after-freeze": "a worker that was frozen emits what it claimed before, without a new claim",
  "settle-before-emit": "a command is settled when it is claimed, before it is emitted",
  "settle-by-old-owner": "a settlement is taken from a worker that lost the lease to another",
  "head-removed-twice": "a repeated settlement removes the head of the queues once more",
  "resend-after-settle": "a command without an answer is settled first and then sent again",
  "wake-up-only": "nothing sweeps: a command whose emit job is lost is never looked at again",
  "runnable-in-second-step":
    "what a settlement makes runnable is recorded in a separate step, which a crash may skip, and no sweep looks at heads",
  "latest-wins-over-sent": "a newer value replaces a command that was sent already",
  "latest-wins-over-other-key": "a newer value replaces the last of one of its queues only",
  "append-twice": "a repeat with the same idempotency key is appended again",
  "lease-outlives-deadline": "a worker that cannot renew goes on sending after its lease has lapsed",
  "epoch-not-raised": "a new owner takes the epoch of the last one",
  "relay-as-write": "the echo of a relay is reported as the proof of a write",
  "barrier-as-write": "the proof of receipt is reported as the proof of a write",
  "sleep-without-look": "the worker falls asleep in a separate step, without checking whether something is ready",
  "awake-without-lease": "an append takes a worker for awake that lost its lease",
  "take-after-settle":
    "an exchange begins what its own settlements made runnable, which a Redis that restarts may have lost",
  "slot-without-sentinel": "a script runs on a node that has none of the keys, as if nothing were stored",
  "hold-without-place": "a dead letter that is to hold its place is taken off its queues like any other",
  "redrive-at-the-end": "a held dead letter is sent again at the end of its queues",
  "discard-marks-nothing": "what waited behind a discarded dead letter is not noted as runnable",
  "give-up-on-disconnect": "a command in flight at a disconnect is settled as received",
  "cursor-before-delivery": "a handler's cursor is noted as far as it has read, whatever is still being worked on",
  "webhook-settled-first": "a webhook is settled before it is posted",
  "failure-as-success": "a webhook that the service did not take counts as delivered",
  "append-again": "an entry that is handled again after a crash becomes a second webhook",
  "gap-in-silence": "what was missed while nobody was connected is neither recovered nor recorded as a gap",
  "relay-closes-sets": "a relay that got through closes the circuit of commands that need a write",
  "no-probes": "an open circuit sends no probes: nothing ever closes it",
} as const;

export type Mutant = keyof typeof MUTANTS;
