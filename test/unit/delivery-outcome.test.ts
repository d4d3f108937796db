import { expect, test } from "vitest";
import { type DeliveryFacts, outcomeOf } from "../../shared/destinations/outcome.ts";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import type { MessageRecord } from "../../shared/outbox/outbox.ts";

const AT = 1_700_000_000_000_000;
const NOW = AT + 60_000_000;
const entry = (more: Partial<JournalEntry> = {}): JournalEntry => ({
  id: "5-0",
  cad: "cad",
  kind: "event",
  event: "unit:status:updated",
  keys: ["unit:M12"],
  payload: {},
  occurredAt: undefined,
  receivedAt: AT,
  size: 2,
  eventId: undefined,
  own: undefined,
  recovered: undefined,
  wrong: [],
  ...more,
});
const message = (more: Partial<MessageRecord & { retryAt: number }>): DeliveryFacts["message"] => ({
  id: "5-0",
  kind: "unit:status:updated",
  keys: ["unit:M12"],
  user: "bridge",
  ...{ role: "admin", fingerprint: "", latestWins: false, ttl: undefined, issuedAt: undefined },
  state: "queued",
  sends: 0,
  acceptedAt: AT,
  expiresAt: undefined,
  sentAt: undefined,
  settledAt: undefined,
  reason: "",
  by: "",
  redriveOf: undefined,
  redrivenAs: undefined,
  held: false,
  overtakenBy: undefined,
  retryAt: undefined,
  ...more,
});
const facts = (more: Partial<DeliveryFacts>): DeliveryFacts => ({
  destination: "board",
  message: undefined,
  handled: undefined,
  cursor: "9-0",
  rules: { rules: [{ at: "rules[0]", events: ["unit:*"], ownEchoes: false }], since: "1-0" },
  state: undefined,
  ...more,
});
const handled = (outcome: "done" | "failed" | "declined", more = {}) => ({
  handler: "to:board",
  outcome,
  durationMs: 1,
  tries: 1,
  ...more,
});
const iso = (micros: number) => new Date(micros / 1000).toISOString().replace("Z", "000Z");

test.each<[what: string, entry: JournalEntry, facts: Partial<DeliveryFacts>, expected: object]>([
  ["waits for its turn", entry(), { message: message({}) }, { outcome: "waiting", attempts: 0, next_attempt: null }],
  [
    "waits for its next attempt",
    entry(),
    { message: message({ state: "sent", sends: 2, retryAt: NOW + 5_000_000 }) },
    { outcome: "waiting", attempts: 2, next_attempt: iso(NOW + 5_000_000) },
  ],
  [
    "waits as long as its destination is paused",
    entry(),
    {
      message: message({ sends: 1, retryAt: NOW + 5_000_000 }),
      state: { state: "paused", reason: "it answered 500", since: 0, until: NOW / 1000 + 9000, trips: 1 },
    },
    {
      outcome: "waiting",
      reason: "the destination is paused: it answered 500",
      next_attempt: iso(NOW + 9_000_000),
    },
  ],
  [
    "was delivered",
    entry(),
    { message: message({ state: "confirmed", sends: 3, settledAt: AT, by: "response:204" }) },
    { outcome: "delivered", at: iso(AT), response: 204, attempts: 3, reason: null },
  ],
  [
    "was delivered by a version that kept no status",
    entry(),
    { message: message({ state: "confirmed", sends: 1, settledAt: AT, by: "response" }) },
    { outcome: "delivered", response: null },
  ],
  [
    "is a dead letter",
    entry(),
    { message: message({ state: "failed", sends: 10, settledAt: AT, reason: "10 attempts failed" }) },
    { outcome: "dead_letter", at: iso(AT), reason: "10 attempts failed", attempts: 10, redriven_as: null },
  ],
  [
    "was a dead letter that was sent again",
    entry(),
    { message: message({ id: "abc", state: "confirmed", sends: 1, settledAt: AT, by: "response:200" }) },
    { outcome: "delivered", redriven_as: "abc" },
  ],
  [
    "was declined by a filter",
    entry(),
    { handled: handled("declined", { reason: "the filter of rules[0] says no" }) },
    { outcome: "not_wanted", reason: "the filter of rules[0] says no" },
  ],
  [
    "is named by no rule",
    entry({ event: "incident:new" }),
    {},
    { outcome: "not_wanted", reason: "no rule names this event" },
  ],
  [
    "is an own echo that no rule takes",
    entry({ own: "c1" }),
    {},
    { outcome: "not_wanted", reason: expect.stringContaining("rules[0]") },
  ],
  [
    "does not parse",
    entry({ kind: "malformed" }),
    {},
    { outcome: "not_wanted", reason: expect.stringContaining("does not parse") },
  ],
  [
    "could not be put into the outbox",
    entry(),
    { handled: handled("failed", { error: "late" }) },
    { outcome: "failed", reason: "late" },
  ],
  [
    "was not come to yet",
    entry(),
    { cursor: "4-9" },
    { outcome: "waiting", reason: expect.stringContaining("journal") },
  ],
  ["is of a destination that never ran", entry(), { cursor: undefined }, { outcome: "waiting" }],
  ["was handled, and its record is gone", entry(), { handled: handled("done") }, { outcome: "unknown" }],
  [
    "was chosen by earlier rules",
    entry({ event: "incident:new" }),
    { rules: { rules: [], since: "5-0" } },
    { outcome: "unknown", reason: expect.stringContaining("rules have changed") },
  ],
  ["of which no rules are known", entry(), { rules: undefined }, { outcome: "unknown" }],
  ["that was wanted, and of which nothing is left", entry(), {}, { outcome: "unknown" }],
])("an event that %s", (_what, one, known, expected) => {
  expect(outcomeOf(one, facts(known), NOW)).toMatchObject({ id: "board", ...expected });
});
