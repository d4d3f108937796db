import { describe, expect, test } from "vitest";
import { until } from "../../tools/support/until.ts";
import { tokens } from "../support/bridge.ts";
import { accepts, ALL, becomes, of, problems, statusOf, tell, withDestinations } from "../support/destinations.ts";

test("410 disables it until it is enabled; what waited then goes out in order", async () => {
  const { bridge, receivers } = await withDestinations(["a"], ALL);
  receivers.a.answer(410);
  tell(bridge, "A", 1, 2);
  await becomes(bridge, "a", (d) => d.state === "disabled");
  expect((await problems(bridge)).problems).toMatchObject([
    { code: "destination-disabled", about: "a", message: expect.stringContaining("it answered 410") },
  ]);
  tell(bridge, "B", 1);
  await becomes(bridge, "a", (d) => d.waiting === 3);
  expect(receivers.a.received).toHaveLength(1);
  receivers.a.answer(204);
  expect((await bridge.post("/destinations/a/enable", {})).status).toBe(202);
  const all = await accepts(receivers.a, 3);
  expect(of(all, "A")).toEqual(["s1", "s2"]);
  await becomes(bridge, "a", (d) => d.state === "ok" && d.waiting === 0);
  expect((await bridge.post("/destinations/nobody/enable", {})).status).toBe(404);
});

test("a paused destination gets nothing until it is enabled, also from the next worker, and then all in order", async () => {
  const { bridge, receivers, env } = await withDestinations(["a"], ALL);
  expect((await bridge.post("/destinations/a/pause", {})).status).toBe(202);
  await becomes(bridge, "a", (d) => d.state === "disabled" && /paused it/.test(d.reason ?? ""));
  tell(bridge, "A", 1);
  await becomes(bridge, "a", (d) => d.waiting === 1);
  await bridge.worker()?.stop();
  await bridge.startWorker(env);
  const ready = async () => ((await bridge.get("/health")).body["bridge"] as { ready: boolean }).ready;
  await until("the next worker is ready", ready);
  tell(bridge, "A", 2);
  await becomes(bridge, "a", (d) => d.waiting === 2 && d.state === "disabled");
  expect(receivers.a.received).toHaveLength(0);
  expect((await bridge.post("/destinations/a/enable", {})).status).toBe(202);
  expect(of(await accepts(receivers.a, 2), "A")).toEqual(["s1", "s2"]);
  await becomes(bridge, "a", (d) => d.state === "ok" && d.waiting === 0);
  expect((await bridge.post("/destinations/nobody/pause", {})).status).toBe(404);
});

test("a test event is signed, is about nobody, and the answer says what came of it", async () => {
  const { bridge, receivers } = await withDestinations(["a"], []);
  const good = await bridge.post("/destinations/a/test", {});
  expect(good).toMatchObject({ status: 200, body: { outcome: "delivered", response: 204, attempts: 1, reason: null } });
  expect(receivers.a.received).toMatchObject([{ verified: true, type: "bridge:test", id: good.body["message_id"] }]);
  receivers.a.answer(500);
  const bad = await bridge.post("/destinations/a/test", {});
  expect(bad.body["outcome"]).not.toBe("delivered");
  expect(bad.body["attempts"]).toBeGreaterThan(1);
  expect((await bridge.post("/destinations/nobody/test", {})).status).toBe(404);
  const { body } = await bridge.get("/audit?action=POST%20/destinations/{id}/test&outcome=done");
  expect(body["entries"]).toHaveLength(2);
});

describe("dead letters of a destination", () => {
  test("what used up its attempts is listed with its reason, lets the next one go, and is sent again in order", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL, { retry_s: [0.01, 0.01] });
    receivers.a.answer((r) => (statusOf(r) === "s1" ? 400 : 204));
    tell(bridge, "A", 1, 2);
    await accepts(receivers.a, 1);
    expect(of(receivers.a.received, "A")).toEqual(["s1", "s1", "s1", "s2"]);
    const list = async (query = "") => (await bridge.get(`/dead-letters?destination=a${query}`)).body["dead_letters"];
    const [letter] = (await list("&unit=A&event=unit:status:updated")) as { command_id: string; reason: string }[];
    expect(letter).toMatchObject({
      status: "failed",
      reason: "3 attempts failed; it answered 400",
      command: "unit:status:updated",
    });
    expect((await bridge.get("/dead-letters")).body["dead_letters"]).toEqual([]);

    receivers.a.answer(204);
    const path = `/dead-letters/${letter?.command_id}/redrive`;
    expect((await bridge.post(path, {})).status).toBe(404);
    const again = await bridge.post(`${path}?destination=a`, {});
    expect(again.status).toBe(202);
    const all = await accepts(receivers.a, 2);
    expect(of(all, "A")).toEqual(["s2", "s1"]);
    const [first, last] = [receivers.a.received[0], all[1]];
    expect(last).toMatchObject({ verified: true, id: first?.id });
    expect(last?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
    expect(await list()).toEqual([]);
    expect((await bridge.get("/dead-letters?destination=nobody")).status).toBe(404);
  });

  test("many are sent again at once, and one can be discarded", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL, { retry_s: [0.01] });
    receivers.a.answer(400);
    tell(bridge, "A", 1, 2, 3);
    await becomes(bridge, "a", (d) => d.dead_letters === 3);
    const { body } = await bridge.get("/dead-letters?destination=a");
    const [, , oldest] = body["dead_letters"] as { command_id: string }[];
    const discarded = await fetch(`${bridge.url}/dead-letters/${oldest?.command_id}?destination=a`, {
      method: "DELETE",
      headers: { Authorization: `Bearer ${tokens.admin}` },
    });
    expect(discarded.status).toBe(204);
    receivers.a.answer(204);
    const redriven = await bridge.post("/dead-letters/redrive", { destination: "a" });
    expect(redriven).toMatchObject({ status: 202, body: { count: 2 } });
    const all = await accepts(receivers.a, 2, 20_000);
    expect(of(all, "A")).toEqual(["s2", "s3"]);
  });
});
