import { expect, test } from "vitest";
import type { DeliveryOutcome } from "../../shared/destinations/outcome.ts";
import { accepts, tell, withDestinations } from "../support/destinations.ts";
import { until } from "../../tools/support/until.ts";

test("GET /events/{id} returns the event's outcome at each destination", async () => {
  const rules = [
    { to: ["fine", "dead", "waits"], events: "unit:*" },
    { to: "choosy", events: "incident:*" },
    { to: "choosy", events: "unit:*", filter: 'payload.status == "s9"' },
    { to: "other", events: "incident:*" },
    { to: "once", events: "unit:*", once: ["unitId"] },
  ];
  const { bridge, receivers } = await withDestinations(["fine", "dead", "waits", "choosy", "other", "once"], rules, {
    retry_s: [0.01],
  });
  receivers.dead.answer((r) => (r.subject === "unit:M2" ? 500 : 204));
  receivers.waits.answer(429);
  receivers.fine.answer(202);
  tell(bridge, "M1", 1);
  tell(bridge, "M2", 2);
  tell(bridge, "M2", 3);
  await accepts(receivers.fine, 3);
  await accepts(receivers.once, 2);
  const entryOf = async (n: number) => {
    const { body } = await bridge.get("/events/history?event=unit:status:updated");
    const found = (body["events"] as { id: string; payload: { status: string } }[]).find(
      (e) => e.payload.status === `s${n}`,
    );
    if (!found) throw new Error(`no event ${n}`);
    return found.id;
  };
  const [first, second, third] = [await entryOf(1), await entryOf(2), await entryOf(3)];
  const outcomes = async (id: string) => {
    const { body } = await bridge.get(`/events/${id}`);
    return Object.fromEntries((body["destinations"] as DeliveryOutcome[]).map((d) => [d.id, d]));
  };
  const ended = await until("all of the second is known", async () => {
    const all = await outcomes(second);
    return all["dead"]?.outcome === "dead_letter" && all["other"]?.outcome === "not_wanted" && all;
  });
  expect(ended).toMatchObject({
    fine: { outcome: "delivered", response: 202, attempts: 1, at: expect.stringMatching(/Z$/), reason: null },
    dead: { outcome: "dead_letter", attempts: 2, reason: expect.stringContaining("it answered 500") },
    waits: { outcome: "waiting", next_attempt: expect.stringMatching(/Z$/), reason: expect.stringContaining("paused") },
    choosy: { outcome: "not_wanted", reason: "the filter of rules[2] says no" },
    other: { outcome: "not_wanted", reason: "no rule names this event" },
    once: { outcome: "delivered" },
  });
  expect((await outcomes(third))["once"]).toMatchObject({
    outcome: "not_wanted",
    reason: `rules[4] sends one event for these values: ${second}`,
  });
  expect((await outcomes(first))["dead"]).toMatchObject({ outcome: "delivered", response: 204 });

  receivers.dead.answer(200);
  const redriven = await bridge.post(`/dead-letters/${second}/redrive?destination=dead`, undefined);
  expect(redriven.status).toBe(202);
  const again = await until("it was delivered after all", async () => {
    const { dead } = await outcomes(second);
    return dead?.outcome === "delivered" && dead;
  });
  expect(again).toMatchObject({ response: 200, redriven_as: expect.any(String) });
});
