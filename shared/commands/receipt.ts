import { z } from "zod";
import { CONFIRMED_BY, PROOFS, proofOf } from "./proof.ts";
import type { MessageRecord } from "../outbox/outbox.ts";
import type { Hold } from "../outbox/queues.ts";
import { isFinal, STATES } from "../outbox/states.ts";
import { toIso } from "../util/time.ts";

/** The public state of a command: that it was accepted, and its outcome. Never its payload. */
export const receipt = z.object({
  command_id: z.string(),
  command: z.string().meta({ description: "The command's path below the API's base path." }),
  status: z.enum(STATES).meta({
    description:
      "`queued`, `sent`, then one of: `confirmed` (acked, echoed or relayed by the CAD: see `proof`), `received` (its process has it; no ack or echo is to be expected), `unconfirmed` (its process has it; the ack or echo that was to be expected did not come), `rejected`, `failed`, `expired` (not delivered as far as is known: see `reason`), `superseded` (a newer value took its place).",
  }),
  final: z.boolean(),
  ordering_keys: z.array(z.string()).meta({ description: "The unit and incident within which order is kept." }),
  accepted_at: z.string(),
  sent_at: z.string().nullable().meta({ description: "When it was last sent." }),
  settled_at: z.string().nullable(),
  expires_at: z.string().nullable(),
  sends: z.int().meta({
    description:
      "How often it was sent: more than once after a disconnect, a refusal, or an ack or echo that did not come.",
  }),
  proof: z.enum(PROOFS).nullable().meta({
    description:
      "What is known of the delivery: `acknowledged` (the CAD acked it), `echoed` (it broadcast it, after its database write), `relayed` (it passed it on to its connected clients; it need not have stored it, and nobody need have listened), `received` (its process has it). null if nothing is.",
  }),
  confirmed_by: z.enum(CONFIRMED_BY).nullable().meta({
    description:
      "How it was confirmed: the CAD's `ack`, its `echo`, or a `barrier` (a reply that the CAD sends after everything it received before).",
  }),
  superseded_by: z.string().nullable(),
  reason: z.string().nullable(),
  redrive_of: z.string().nullable().meta({ description: "The dead letter that this command redrives." }),
  redriven_as: z.string().nullable().meta({ description: "The command that redrives this dead letter." }),
  held: z.boolean().meta({
    description:
      "It is a dead letter that holds its place (HOLD): later commands of its unit and incident wait until it is redriven or discarded.",
  }),
});
export type Receipt = z.infer<typeof receipt>;

/** The receipt of one command, and its relation to a dead letter that holds its place. */
export const commandReceipt = receipt.extend({
  held_back_by: z.string().optional().meta({
    description: "The dead letter at the head of one of its queues, behind which it waits (HOLD).",
  }),
  waiting_behind: z.int().optional().meta({
    description: "With `held`: how many commands wait behind it, at least.",
  }),
});

const time = (micros: number | undefined): string | null => (micros === undefined ? null : toIso(micros));

export function toReceipt(record: MessageRecord): Receipt {
  const superseded = record.state === "superseded";
  const proven = superseded ? undefined : proofOf(record.kind, record.by);
  return {
    command_id: record.id,
    command: record.kind,
    status: record.state,
    final: isFinal(record.state),
    ordering_keys: record.keys,
    accepted_at: toIso(record.acceptedAt),
    sent_at: time(record.sentAt),
    settled_at: time(record.settledAt),
    expires_at: time(record.expiresAt),
    sends: record.sends,
    proof: proven?.proof ?? null,
    confirmed_by: proven?.by ?? null,
    superseded_by: superseded ? record.by || null : null,
    reason: record.reason || null,
    redrive_of: record.redriveOf ?? null,
    redriven_as: record.redrivenAs ?? null,
    held: record.held,
  };
}

export const toCommandReceipt = (record: MessageRecord, hold: Hold | undefined): z.infer<typeof commandReceipt> => ({
  ...toReceipt(record),
  ...(hold?.heldBackBy !== undefined && { held_back_by: hold.heldBackBy }),
  ...(hold?.waitingBehind !== undefined && { waiting_behind: hold.waitingBehind }),
});
