import { Redis } from "ioredis";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { tokens, startBridge } from "../support/bridge.ts";
import { until } from "../../tools/support/until.ts";

interface Found {
  command_id: string;
  who: string;
  about: string[];
  receipt: { status: string } | null;
}
const idsOf = (body: Record<string, unknown>) => (body["commands"] as Found[]).map((one) => one.command_id);

describe("GET /commands", () => {
  test("finds what was accepted by unit, incident, command, state and time, the newest first, in pages", async () => {
    const bridge = await startBridge();
    const [a, b] = [await bridge.deliver("/units/status", { unit_id: "M1", status: "enroute" })].concat(
      await bridge.deliver("/incidents/status", { incident_id: "I1", status: "en_route" }),
    );
    const c = await bridge.deliver("/units/status", { unit_id: "M2", status: "onscene" });
    const find = async (query: string) => (await bridge.get(`/commands?${query}`)).body;
    expect(idsOf(await find(""))).toEqual([c.command_id, b?.command_id, a?.command_id]);
    expect(idsOf(await find("unit=M1"))).toEqual([a?.command_id]);
    expect(idsOf(await find("incident=I1"))).toEqual([b?.command_id]);
    expect(idsOf(await find("command=units/status"))).toEqual([c.command_id, a?.command_id]);
    expect(idsOf(await find("state=rejected"))).toEqual([]);
    expect(idsOf(await find("state=confirmed&limit=1"))).toEqual([c.command_id]);
    expect(idsOf(await find(`since=${c.accepted_at}&until=${c.accepted_at}`)).includes(c.command_id)).toBe(true);
    const first = await find("limit=2");
    expect(idsOf(await find(`limit=2&cursor=${String(first["next"])}`))).toEqual([a?.command_id]);
    expect((first["commands"] as Found[])[0]).toMatchObject({ about: ["unit:M2"], receipt: { status: "confirmed" } });
    expect((await bridge.get("/commands?cursor=nonsense")).status).toBe(422);
  });

  test("finds everything that waits by its state, positions as well, and shows a scope its own alone", async () => {
    const bridge = await startBridge({ worker: false });
    for (const unit of ["M1", "M2", "M1"])
      await bridge.post("/units/location", { unit_id: unit, latitude: 37, longitude: -122 });
    const { body } = await bridge.get("/commands?state=queued");
    expect((body["commands"] as Found[]).map(({ about }) => about[0])).toEqual(["unit:M1", "unit:M2", "unit:M1"]);
    const page = await bridge.get("/commands?state=queued&unit=M1&limit=1");
    const next = await bridge.get(`/commands?state=queued&unit=M1&cursor=${String(page.body["next"])}`);
    expect([...idsOf(page.body), ...idsOf(next.body)]).toHaveLength(2);
    const crew = { Authorization: `Bearer ${tokens.crew}` };
    expect((await bridge.get("/commands", crew)).status).toBe(403);
  });
});

test("GET /queues lists waiting commands, and why the head of a queue is waiting", async () => {
  const bridge = await startBridge({ worker: false });
  const send = (unit: string, incident: string) =>
    bridge.post("/units/status", { unit_id: unit, incident_id: incident, status: "enroute" });
  const first = (await send("M1", "I1")).body["command_id"];
  await send("M2", "I1");
  const { body } = await bridge.get("/queues");
  expect(body["queues"]).toMatchObject([
    { key: "unit:M1", waiting: 1 },
    { key: "incident:I1", waiting: 2 },
    { key: "unit:M2", waiting: 1 },
  ]);
  const why = async (key: string) => (await bridge.get(`/queues/${encodeURIComponent(key)}`)).body;
  expect(await why("unit:M2")).toMatchObject({
    waiting: 1,
    why: `It waits behind the command ${String(first)} in the queue of incident:I1.`,
  });
  expect(await why("incident:I1")).toMatchObject({ waiting: 2, why: "No worker is running." });
  expect(await why("unit:nobody")).toMatchObject({ waiting: 0, why: null, commands: [] });
  expect((await bridge.get("/queues/nonsense")).status).toBe(404);
});

test("a dead letter's payload is shown to an admin who says why, and the audit trail has the reason first", async () => {
  const bridge = await startBridge({ cad: { character: "modern", switches: { reject: 1 } } });
  const body = { unit_id: "M1", status: "enroute" };
  const dead = await bridge.deliver("/units/status", body);
  const path = `/dead-letters/${dead.command_id}/reveal`;
  expect((await bridge.post(path, {})).status).toBe(422);
  expect((await bridge.post(path, { reason: "no" })).status).toBe(422);
  const dispatcher = { Authorization: `Bearer ${tokens.dispatcher}` };
  expect((await bridge.post(path, { reason: "a good reason" }, dispatcher)).status).toBe(403);
  const revealed = await bridge.post(path, { reason: "ticket 7:\nthe CAD refuses it" });
  expect(revealed).toMatchObject({ status: 200, body: { command_id: dead.command_id, payload: body } });
  const { body: audit } = await bridge.get("/audit?action=POST%20/dead-letters/{id}/reveal&outcome=done");
  expect(audit["entries"]).toMatchObject([
    { about: ["unit:M1", "reason:ticket 7: the CAD refuses it"], command_id: dead.command_id },
  ]);
  await bridge.post(`/dead-letters/${dead.command_id}/redrive`, {});
  expect((await bridge.post("/dead-letters/none/reveal", { reason: "a good reason" })).status).toBe(404);
});

test("GET /history lists the workers and the leader's notes", async () => {
  const bridge = await startBridge({ worker: { WORKER_INSTANCE: "one" } });
  await bridge.startWorker({ WORKER_INSTANCE: "two" });
  const workers = async () => (await bridge.get("/history")).body["workers"] as { instance: string; role: string }[];
  await until("both are known", async () => (await workers()).length === 2);
  expect((await workers()).toSorted((a, b) => a.instance.localeCompare(b.instance))).toMatchObject([
    { instance: "one", role: "leader" },
    { instance: "two", role: "standby" },
  ]);
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(() => redis.disconnect());
  const key = `{${bridge.prefix}}:cad:history`;
  await until("the first minute is noted", async () => (await redis.llen(key)) === 1);
  const { body } = await bridge.get("/history");
  expect(body["minutes"]).toEqual([]);
  expect(body["hours"]).toHaveLength(24);
});
