import { z } from "zod";
import { type Attempt, attempt } from "./attempts.ts";
import { entryWanted, type RuleSummary } from "./rules.ts";
import type { JournalEntry } from "../journal/entry.ts";
import { compareIds } from "../redis/stream-id.ts";
import type { Handled } from "../journal/checkpoints.ts";
import type { MessageRecord } from "../outbox/outbox.ts";
import { toIso } from "../util/time.ts";
import type { DestinationState } from "./store.ts";

export const DELIVERY_OUTCOMES = ["waiting", "delivered", "dead_letter", "not_wanted", "failed", "unknown"] as const;

/** The outcome of one event at one destination, as the API returns it. */
export const deliveryOutcome = z.object({
  id: z.string().meta({ description: "The destination." }),
  outcome: z.enum(DELIVERY_OUTCOMES).meta({
    description:
      "`waiting`: not delivered yet. `delivered`: it answered 2xx. `dead_letter`: its attempts are used up. `not_wanted`: no rule sends it there. `failed`: it could not be put into the destination's outbox. `unknown`: not known any more.",
  }),
  reason: z.string().nullable().meta({ description: "Why; for people." }),
  at: z.string().nullable().meta({ description: "When it was delivered or became a dead letter." }),
  response: z.int().nullable().meta({ description: "The HTTP status that a delivered one was answered with." }),
  attempts: z.int().meta({ description: "How often it was sent." }),
  next_attempt: z.string().nullable().meta({
    description: "Of one that waits; null: as soon as its turn comes. An enabled destination may be earlier.",
  }),
  recent_attempts: z.array(attempt).meta({
    description: "The last 20 attempts, the oldest first; of one that was delivered at once, that attempt.",
  }),
  redriven_as: z
    .string()
    .nullable()
    .meta({ description: "The message that sent a dead letter again; the outcome is that message's." }),
});
export type DeliveryOutcome = z.infer<typeof deliveryOutcome>;

/** What Redis holds about an event at a destination. */
export interface DeliveryFacts {
  destination: string;
  /** Its message; for a redriven dead letter, the latest one. */
  message: (MessageRecord & { retryAt: number | undefined; recentAttempts?: readonly Attempt[] }) | undefined;
  /** The result of the destination's handler. */
  handled: Handled | undefined;
  /** The last entry that handler has finished; undefined if it never ran. */
  cursor: string | undefined;
  rules: { rules: readonly RuleSummary[]; since: string } | undefined;
  state: DestinationState | undefined;
}

const NOTHING = {
  ...{ reason: null, at: null, response: null, attempts: 0, next_attempt: null, redriven_as: null },
  recent_attempts: [] as Attempt[],
};

/** A message delivered at once has no list of attempts, only the times it was sent and settled. */
function attemptsOf(message: NonNullable<DeliveryFacts["message"]>, response: number | null): Attempt[] {
  const { recentAttempts = [], state, sends, sentAt, settledAt } = message;
  if (recentAttempts.length > 0 || state !== "confirmed" || sends !== 1) return [...recentAttempts];
  if (sentAt === undefined || settledAt === undefined) return [];
  return [{ at: toIso(sentAt), response, reason: null, duration_ms: Math.round((settledAt - sentAt) / 1000) }];
}

/** @param now microseconds since 1970 */
export function outcomeOf(entry: JournalEntry, facts: DeliveryFacts, now: number): DeliveryOutcome {
  const { destination: id, message, handled, cursor, rules } = facts;
  const answer = (outcome: DeliveryOutcome["outcome"], more: Partial<DeliveryOutcome> = {}): DeliveryOutcome => ({
    ...NOTHING,
    id,
    outcome,
    ...more,
  });
  if (message) return { id, ...ofMessage(message, facts.state, now), redriven_as: redriven(entry, message) };
  if (handled?.outcome === "failed") return answer("failed", { reason: handled.error ?? null });
  if (handled?.outcome === "declined") return answer("not_wanted", { reason: handled.reason ?? null });
  if (handled) return answer("unknown", { reason: "it was sent or discarded, and its record is gone" });
  if (cursor === undefined || compareIds(cursor, entry.id) < 0)
    return answer("waiting", { reason: "it waits in the journal: the destination's handler has not come to it" });
  if (!rules || compareIds(entry.id, rules.since) <= 0)
    return answer("unknown", { reason: "the rules have changed since, or the destination was added later" });
  const wanted = entryWanted(entry, rules.rules);
  if (!wanted.wanted) return answer("not_wanted", { reason: wanted.why });
  return answer("unknown", { reason: "its record is gone" });
}

function ofMessage(
  message: NonNullable<DeliveryFacts["message"]>,
  state: DestinationState | undefined,
  now: number,
): Omit<DeliveryOutcome, "id" | "redriven_as"> {
  const { sends: attempts, settledAt, reason, by } = message;
  const at = settledAt === undefined ? null : toIso(settledAt);
  const response = Number(/^response:(\d{3})$/.exec(by)?.[1]) || null;
  const settled = { ...NOTHING, at, attempts, recent_attempts: attemptsOf(message, response) };
  switch (message.state) {
    case "confirmed":
      return { ...settled, outcome: "delivered", response };
    case "superseded":
      return { ...settled, outcome: "waiting", reason: "a replay is to send it" };
    case "queued":
    case "sent": {
      const blocked = state !== undefined && state.state !== "ok";
      const until = Math.max(message.retryAt ?? 0, state?.state === "paused" ? state.until * 1000 : 0);
      return {
        ...settled,
        outcome: "waiting",
        reason: blocked ? `the destination is ${state.state}: ${state.reason}` : null,
        next_attempt: until > now ? toIso(until) : null,
      };
    }
    default:
      return { ...settled, outcome: "dead_letter", reason: reason || null };
  }
}

const redriven = (entry: JournalEntry, message: MessageRecord) => (message.id === entry.id ? null : message.id);
