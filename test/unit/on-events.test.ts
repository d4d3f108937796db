import { expect, expectTypeOf, test } from "vitest";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import { onEvents } from "../../worker/events/handlers/on-events.ts";

const entry = (more: Partial<JournalEntry>): JournalEntry => ({
  ...{ id: "1-0", cad: "https://cad.example.org", kind: "event", event: "unit:status:updated", keys: ["unit:M12"] },
  ...{ payload: { unitId: 12, status: "enroute" }, occurredAt: undefined, receivedAt: 0, eventId: undefined },
  ...{ own: undefined, recovered: undefined, wrong: [], size: 1 },
  ...more,
});

const plan = onEvents({ "unit:status:updated": ({ unitId, status }) => ({ declined: `${unitId} is ${status}` }) });

test("a handler of an event gets the payload as the event's schema parses it", () => {
  expect(plan(entry({}))).toEqual({ declined: "12 is enroute" });
});

test.each<[string, Partial<JournalEntry>]>([
  ["another event", { event: "unit:location:updated" }],
  ["an event that is in no table", { kind: "unknown", event: "shift:changed" }],
  ["a payload that did not parse", { kind: "malformed", payload: {} }],
  ["an event that the bridge wrote itself", { kind: "bridge" }],
  ["a payload that does not parse any more", { payload: { unitId: 12 } }],
])("%s is left alone", (_, more) => {
  expect(plan(entry(more))).toBeUndefined();
});

test("a handler for an event that is in no table, or for another payload, does not compile", () => {
  onEvents({
    "incident:new": (payload) => void expectTypeOf(payload.incidentId).toEqualTypeOf<string | null | undefined>(),
  });
  // @ts-expect-error No such event.
  onEvents({ "unit:status:changed": () => undefined });
  // @ts-expect-error The status is a string.
  onEvents({ "unit:status:updated": ({ status }: { status: number }) => ({ declined: String(status) }) });
});
