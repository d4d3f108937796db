import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test } from "vitest";
import { beginReplay } from "../../shared/destinations/replay.ts";
import { openDestinationStore } from "../../shared/destinations/store.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { until } from "../../tools/support/until.ts";
import type { Bridge } from "../support/bridge.ts";
import { accepts, ALL, becomes, of, statusOf, tell, withDestinations } from "../support/destinations.ts";
import { viewJournal } from "../support/journal.ts";

interface Shown {
  state: string;
  count: number;
  queued: number;
  by_event: Record<string, number>;
  first: { event_id: string } | null;
  last: { event_id: string } | null;
  until: { event_id: string } | null;
}
const ask = (bridge: Bridge, body: Record<string, unknown>) => bridge.post("/destinations/a/replay", body);
const replayOf = async (bridge: Bridge) => (await bridge.get("/destinations/a")).body["replay"] as Shown | null;
const over = (bridge: Bridge) =>
  until("the replay is over", async () => {
    const replay = await replayOf(bridge);
    return replay?.state === "done" && replay;
  });

test("a dry run counts what would be sent, and a replay sends that again and joins the live flow", async () => {
  const { bridge, receivers } = await withDestinations(["a"], ALL);
  tell(bridge, "A", 1, 2, 3);
  tell(bridge, "B", 1);
  bridge.cad.broadcast("incident:status:updated", { incidentId: "I1", status: "completed" });
  await accepts(receivers.a, 5);
  const entries = await viewJournal(bridge.prefix).has("unit:status:updated", 4);
  const second = entries[1]?.id ?? "";

  const dry = await ask(bridge, { from: second, dry_run: true });
  expect(dry).toMatchObject({
    status: 200,
    body: {
      ...{ state: "counted", dry_run: true, count: 4, queued: 0, first: { event_id: second } },
      by_event: { "unit:status:updated": 3, "incident:status:updated": 1 },
    },
  });
  expect(await replayOf(bridge)).toBeNull();
  const narrow = { from: second, events: ["unit:*"], filter: 'unit == "A"', dry_run: true };
  expect((await ask(bridge, narrow)).body).toMatchObject({ count: 2, by_event: { "unit:status:updated": 2 } });
  expect(receivers.a.received).toHaveLength(5);

  const begun = await ask(bridge, { from: second });
  expect(begun.status).toBe(202);
  tell(bridge, "A", 4, 5);
  const all = await accepts(receivers.a, 11);
  const again = all.slice(5);
  expect(of(again, "A")).toEqual(["s2", "s3", "s4", "s5"]);
  expect(of(again, "B")).toEqual(["s1"]);
  // A receiver knows a repeat by its id.
  expect(new Set(all.map(({ headers }) => headers["webhook-id"])).size).toBe(7);
  expect(await over(bridge)).toMatchObject({ count: 4, last: { event_id: expect.any(String) } });
  tell(bridge, "A", 6);
  await accepts(receivers.a, 12);
  await becomes(bridge, "a", (d) => d.waiting === 0);
  expect(receivers.a.received).toHaveLength(12);
  const { body } = await bridge.get("/audit?action=POST%20/destinations/{id}/replay&outcome=done");
  expect(body["entries"]).toHaveLength(3);
});

test("what waits for a paused destination is sent once, in order, and a dead letter is redriven by it", async () => {
  const { bridge, receivers } = await withDestinations(["a"], ALL, { retry_s: [0.05] });
  tell(bridge, "A", 1);
  await accepts(receivers.a, 1);
  const [first] = await viewJournal(bridge.prefix).has("unit:status:updated");
  receivers.a.answer(500);
  tell(bridge, "B", 1);
  await becomes(bridge, "a", (d) => d.dead_letters === 1);
  receivers.a.answer(204);
  await bridge.post("/destinations/a/pause", {});
  await becomes(bridge, "a", (d) => d.state === "disabled");
  tell(bridge, "A", 2, 3, 4);
  await becomes(bridge, "a", (d) => d.waiting === 3);
  const before = receivers.a.received.length;
  expect((await ask(bridge, { from: first?.id })).status).toBe(202);
  await over(bridge);
  tell(bridge, "A", 5);
  await becomes(bridge, "a", (d) => d.waiting === 6 && d.dead_letters === 0);
  expect(receivers.a.received).toHaveLength(before);
  await bridge.post("/destinations/a/enable", {});
  await becomes(bridge, "a", (d) => d.waiting === 0);
  const again = receivers.a.received.slice(before);
  expect(of(again, "A")).toEqual(["s1", "s2", "s3", "s4", "s5"]);
  expect(of(again, "B")).toEqual(["s1"]);
  const waited = (await viewJournal(bridge.prefix).has("unit:status:updated", 4)).findLast(
    (e) => e.keys[0] === "unit:A",
  );
  const { body } = await bridge.get(`/events/${waited?.id}`);
  expect(body["destinations"]).toMatchObject([{ id: "a", outcome: "delivered" }]);
});

test(
  "a replay of many goes on with the next worker where it was, each once and in order",
  { timeout: 120_000 },
  async () => {
    const keys = `one:${Buffer.alloc(32, 7).toString("base64")}`;
    const given = { worker: { PAYLOAD_KEYS: keys }, functions: { PAYLOAD_KEYS: keys } };
    const { bridge, receivers, env } = await withDestinations(["a"], ALL, {}, given);
    const many = 150;
    const units = Array.from({ length: 30 }, (_, i) => `U${i}`);
    for (let n = 1; n <= many; n += 1) tell(bridge, units[n % units.length] ?? "", n);
    await accepts(receivers.a, many, 40_000);
    const before = receivers.a.received.length;
    const from = new Date(Date.now() - 600_000).toISOString();
    expect((await ask(bridge, { from })).status).toBe(202);
    await until("some were sent again", () => receivers.a.received.length > before + 20);
    await bridge.worker()?.stop();
    await bridge.startWorker({ ...env, PAYLOAD_KEYS: keys });
    tell(bridge, "U0", many + 1);
    expect(
      await until(
        "it is over",
        async () => {
          const replay = await replayOf(bridge);
          return replay?.state === "done" && replay;
        },
        40_000,
      ),
    ).toMatchObject({ count: many, queued: many });
    await becomes(bridge, "a", (d) => d.waiting === 0);
    await bridge.healthy();
    const again = receivers.a.accepted().slice(before);
    const seen = new Map<string, number>();
    for (const one of again) seen.set(statusOf(one), (seen.get(statusOf(one)) ?? 0) + 1);
    expect([...seen.keys()].length).toBeGreaterThanOrEqual(many);
    // Delivery is at least once: what was on its way when the worker stopped may come twice, and stays in order.
    for (const unit of units) {
      const ns = of(again, unit).map((s) => Number(s.slice(1)));
      const firsts = ns.filter((n, i) => ns.indexOf(n) === i);
      expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
    }
    const redis = new Redis(inject("redisUrl"));
    onTestFinished(() => redis.disconnect());
    const stored = Object.values(await redis.hgetall(`{${bridge.prefix}}:to:a:state`)).join("\n");
    expect(stored).not.toContain('"from"');
  },
);

test("refuses what it cannot do, and says why", async () => {
  const { bridge, receivers } = await withDestinations(["a"], ALL, {}, { worker: { DESTINATION_BACKLOG: "3" } });
  const view = viewJournal(bridge.prefix);
  for (const n of [1, 2, 3, 4]) {
    tell(bridge, "A", n);
    await accepts(receivers.a, n);
  }
  const [first, second] = await view.has("unit:status:updated", 4);
  const hour = new Date(Date.now() - 3_600_000).toISOString();
  expect(await ask(bridge, { from: hour })).toMatchObject({
    status: 422,
    body: { code: "replay-refused", detail: expect.stringMatching(/^4 events are to be sent, and .* room for 3 more/) },
  });
  const bad = [{ from: "yesterday" }, { from: hour, events: [] }, { from: hour, filter: "" }, {}];
  for (const body of bad)
    expect(await ask(bridge, body)).toMatchObject({ status: 422, body: { code: "invalid-body" } });
  expect(await ask(bridge, { from: hour, filter: "payload.x +" })).toMatchObject({
    status: 422,
    body: { code: "replay-refused", detail: expect.stringContaining("cannot work as a filter") },
  });
  expect(await ask(bridge, { from: "1769897112000-7" })).toMatchObject({
    status: 422,
    body: { detail: "The journal has no entry 1769897112000-7." },
  });
  await view.redis.xdel(view.keys.journal, first?.id ?? "");
  expect(await ask(bridge, { from: hour, dry_run: true })).toMatchObject({
    status: 410,
    body: { code: "replay-gone", oldest: { event_id: second?.id } },
  });
  expect((await bridge.post("/destinations/nobody/replay", { from: hour })).status).toBe(404);
  expect(receivers.a.received).toHaveLength(4);
  await bridge.worker()?.stop();
  expect(await ask(bridge, { from: second?.id })).toMatchObject({ status: 503, body: { code: "no-worker" } });
});

test("while a replay runs another is refused with its id", async () => {
  const { bridge, receivers } = await withDestinations(["a"], ALL);
  tell(bridge, "A", 1);
  await accepts(receivers.a, 1);
  const [first] = await viewJournal(bridge.prefix).has("unit:status:updated", 1);
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(() => redis.disconnect());
  // As the worker stores it for as long as it goes through the journal, which takes a few milliseconds here.
  const store = openDestinationStore(redis, bridge.prefix, createSealer([]));
  const running = beginReplay({ id: "earlier", from: first?.id ?? "", dryRun: false, askedAt: Date.now() });
  await store.saveReplay("a", { ...running, state: "running", startedAt: Date.now() });
  const refused = { status: 409, body: { code: "replay-running", replay_id: "earlier" } };
  expect(await ask(bridge, { from: first?.id })).toMatchObject(refused);
  expect(receivers.a.received).toHaveLength(1);
  await store.saveReplay("a", { ...running, state: "done", endedAt: Date.now() });
  expect((await ask(bridge, { from: first?.id })).status).toBe(202);
  await accepts(receivers.a, 2);
});
