import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { destinationKeys } from "../../shared/redis/keys.ts";
import { startProcess } from "../../tools/setup/process.ts";
import { type Bridge, CAD_TOKEN } from "../support/bridge.ts";
import {
  accepts,
  ALL,
  becomes,
  freshReceiver,
  of,
  problems,
  status,
  statusOf,
  tell,
  withDestinations,
  writeRoutes,
} from "../support/destinations.ts";
import { dumpRedis } from "../support/redis-dump.ts";
import { testRedis } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

/** Another worker on the same Redis, connected to the CAD. */
async function restart(bridge: Bridge, env: Record<string, string>): Promise<void> {
  await bridge.worker()?.stop();
  await bridge.startWorker(env);
  await until("it is connected", async () => {
    const { body } = await bridge.get("/health");
    return (body["bridge"] as { ready: boolean }).ready;
  });
}

function redisOf(bridge: Bridge) {
  return { redis: testRedis(), keys: destinationKeys(bridge.prefix, "a") };
}

describe("a webhook request", () => {
  test("an event reaches the destination as a signed CloudEvent in structured mode", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL, { headers: { "X-Api-Key": "k" } });
    bridge.cad.broadcast("unit:status:updated", { unitId: "M12", status: "enroute", incidentId: "I1" });
    const [first] = await accepts(receivers.a, 1);
    expect(first).toMatchObject({
      method: "POST",
      verified: true,
      event: {
        specversion: "1.0",
        type: "unit:status:updated",
        source: `urn:socket-bridge:${bridge.prefix}`,
        subject: "unit:M12",
        data: { unitId: "M12", status: "enroute", incidentId: "I1" },
        datacontenttype: "application/json",
      },
    });
    expect(first?.headers).toMatchObject({
      "content-type": "application/cloudevents+json; charset=utf-8",
      "x-api-key": "k",
      "webhook-id": expect.stringMatching(/^evt_[\w-]{27}$/),
    });
    expect(first?.event).not.toHaveProperty("owncommand");
  });

  test("the echo of an own command says whose it is, and a rule may leave echoes out", async () => {
    const rules = [
      { to: "a", events: "unit:*" },
      { to: "b", events: "unit:*", own_echoes: false },
    ];
    const { bridge, receivers } = await withDestinations(["a", "b"], rules);
    const { command_id: id } = await bridge.deliver("/units/status", { unit_id: "M12", status: "enroute" });
    tell(bridge, "M12", 1);
    const [own, other] = await accepts(receivers.a, 2);
    expect([own?.event["owncommand"], other?.event["owncommand"]]).toEqual([id, undefined]);
    const [only] = await accepts(receivers.b, 1);
    expect(only?.data).toEqual(status("M12", 1));
  });

  test("only the fields that a rule names go out, and only what its filter lets through", async () => {
    const rules = [{ to: "a", events: "unit:status:*", filter: 'payload.status == "s2"', fields: ["unitId", "a.b"] }];
    const { bridge, receivers } = await withDestinations(["a"], rules);
    tell(bridge, "M12", 1);
    bridge.cad.broadcast("unit:status:updated", { ...status("M12", 2), patient: "Jane", a: { b: 1, c: 2 } });
    bridge.cad.broadcast("unit:location:updated", { unitId: "M12", location: {} });
    const [first] = await accepts(receivers.a, 1);
    expect(first?.data).toEqual({ unitId: "M12", a: { b: 1 } });
    expect(receivers.a.received).toHaveLength(1);
  });

  test("a filter that cannot tell counts as no, is counted, and holds nothing up", async () => {
    const rules = [{ to: "a", events: "unit:*", filter: 'payload.incidentId.startsWith("I")' }];
    const { bridge, receivers } = await withDestinations(["a"], rules);
    tell(bridge, "M12", 1);
    bridge.cad.broadcast("unit:status:updated", { ...status("M12", 2), incidentId: "I1" });
    const [first] = await accepts(receivers.a, 1);
    expect(first?.data).toMatchObject({ status: "s2" });
    await becomes(bridge, "a", (d) => (d as unknown as { filter_errors: number }).filter_errors > 0);
  });

  test("what may go out once goes out once for each combination of values, whatever is repeated, restarts too", async () => {
    const once = [{ to: "a", events: "transport:*", fields: ["incidentId", "epcrId"], once: ["incidentId", "epcrId"] }];
    const { bridge, receivers, env } = await withDestinations(["a"], once, {}, { cad: { character: "modern" } });
    const complete = (incidentId: unknown, epcrId?: string) =>
      bridge.cad.broadcast("transport:completed", { incidentId, epcrId });
    complete("7", "E1");
    complete("7", "E1");
    complete(7, "E1");
    await accepts(receivers.a, 1);
    // As if the record of what was delivered were gone, as it is after an hour.
    const { redis, keys } = redisOf(bridge);
    for (const key of await redis.keys(`${keys.base}:record:*`)) await redis.del(key);
    await restart(bridge, env);
    complete("7", "E1");
    complete("7", "E2");
    complete("8");
    const all = await accepts(receivers.a, 3);
    expect(all).toHaveLength(3);
    expect(all.map((r) => r.data)).toEqual(
      expect.arrayContaining([
        { incidentId: "7", epcrId: "E1" },
        { incidentId: "7", epcrId: "E2" },
        { incidentId: "8" },
      ]),
    );
  });

  test.each([
    ["modern", "which broadcasts it"],
    ["legacy", "which tells nobody of it"],
  ] as const)(
    "billing and ePCR get what they need by their URLs and secrets alone; the bridge's own report is billed, to a %s CAD, %s",
    async (character, _how) => {
      const [billing, epcr] = await Promise.all([freshReceiver(), freshReceiver()]);
      const env = {
        BILLING_API_URL: billing.url,
        BILLING_WEBHOOK_SECRET: billing.secret,
        EPCR_API_URL: epcr.url,
        EPCR_WEBHOOK_SECRET: epcr.secret,
        ALLOW_PRIVATE_DESTINATIONS: "true",
      };
      const { bridge } = await withDestinations([], [], {}, { cad: { character }, worker: env });
      await bridge.deliver("/transport/completed", {
        incident_id: "I1",
        epcr_id: "E1",
        transport_type: "ALS",
        patient_name: "Jane Doe",
        billing_data: { mileage: 4.2 },
      });
      bridge.cad.broadcast("transport:completed", { incidentId: "I1", epcrId: "E1" });
      bridge.cad.broadcast("incident:new", { incidentId: "I2", type: "Chest Pain" });
      bridge.cad.broadcast("incident:new", { id: "I3", type: "Fall" });
      tell(bridge, "M12", 1);
      bridge.cad.broadcast("incident:timestamp:updated", { incidentId: "I1", field: "time_enroute", timestamp: "x" });
      for (const word of ["transporting", "COMPLETED", "completed"])
        bridge.cad.broadcast("incident:status:updated", { incidentId: "I1", status: word, userId: "u" });
      await bridge.deliver("/incidents/status", { incident_id: "I2", status: "COMPLETED", user_id: "u" });
      await accepts(epcr, 5);
      expect(epcr.accepted().map((r) => r.type)).toEqual(
        expect.arrayContaining(["transport:completed", "incident:new", "incident:timestamp:updated"]),
      );
      expect(epcr.accepted().map((r) => r.type)).not.toContain("unit:status:updated");
      expect(epcr.accepted().map((r) => r.subject)).toContain("incident:I3");
      const [, , , ...more] = await accepts(billing, 3);
      expect(more).toEqual([]);
      expect(billing.received.every((r) => r.verified)).toBe(true);
      expect(billing.received.map(({ type, data }) => ({ type, data }))).toEqual(
        expect.arrayContaining([
          {
            type: "transport:completed",
            data: {
              incidentId: "I1",
              epcrId: "E1",
              transportType: "ALS",
              billingData: { mileage: 4.2 },
              timestamp: expect.any(String),
            },
          },
          { type: "incident:status:updated", data: { incidentId: "I1", status: "COMPLETED" } },
          { type: "incident:status:updated", data: { incidentId: "I2", status: "completed" } },
        ]),
      );
    },
  );
});

describe("order of webhooks", () => {
  test("each unit's events arrive in their order, whatever fails; the same message has the same id each time", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL);
    let asked = 0;
    receivers.a.answer(() => ((asked += 1) % 3 === 0 ? 500 : 204));
    const numbers = Array.from({ length: 12 }, (_, i) => i);
    for (const n of numbers) for (const unit of ["A", "B", "C", "D"]) tell(bridge, unit, n);
    const all = await accepts(receivers.a, 48);
    for (const unit of ["A", "B", "C", "D"]) expect(of(all, unit)).toEqual(numbers.map((n) => `s${n}`));
    const ids = new Map(receivers.a.received.map((r) => [r.id, r.headers["webhook-id"]]));
    for (const r of receivers.a.received) expect(r.headers["webhook-id"]).toBe(ids.get(r.id));
    expect(new Set(ids.values()).size).toBe(48);
  });

  test("a message that fails holds up nothing but its own unit", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL, { retry_s: [1000] });
    receivers.a.answer((r) => (r.subject === "unit:BAD" ? 500 : 204));
    tell(bridge, "BAD", 1, 2);
    for (const n of [1, 2, 3, 4, 5]) tell(bridge, "GOOD", n);
    await accepts(receivers.a, 5);
    expect(of(receivers.a.received, "BAD")).toEqual(["s1"]);
    await becomes(bridge, "a", (d) => d.state === "ok" && d.waiting === 2 && d.last_error === "it answered 500");
  });

  test("one destination that hangs, one that refuses and one that is gone delay no other", async () => {
    const rules = [{ to: ["good", "hangs", "fails", "gone"], events: "unit:*" }];
    const { bridge, receivers } = await withDestinations(["good", "hangs", "fails", "gone"], rules, {
      timeout_ms: 300,
    });
    receivers.hangs.answer("hang");
    receivers.fails.answer(503);
    await receivers.gone.stop();
    const started = performance.now();
    for (const n of [1, 2, 3]) for (const unit of ["A", "B", "C", "D", "E"]) tell(bridge, unit, n);
    await accepts(receivers.good, 15);
    expect(performance.now() - started).toBeLessThan(2000);
    for (const id of ["hangs", "fails", "gone"])
      await becomes(bridge, id, (d) => d.state === "paused" && d.waiting === 15);
    const { status: how, problems: said } = await problems(bridge);
    expect(how).toBe("degraded");
    expect(said).toContainEqual(
      expect.objectContaining({
        code: "destination-paused",
        about: "hangs",
        message: expect.stringContaining("it did not answer within 300 ms") as string,
      }),
    );
    receivers.hangs.answer(204);
    await accepts(receivers.hangs, 15);
    for (const unit of ["A", "E"]) expect(of(receivers.hangs.accepted(), unit)).toEqual(["s1", "s2", "s3"]);
    await becomes(bridge, "hangs", (d) => d.state === "ok" && d.waiting === 0);
  });
});

test("dead letters and a full outbox show in health and /status: how many, how old, the next attempt, what is lost", async () => {
  const { bridge, receivers } = await withDestinations(
    ["a", "b"],
    [{ to: ["a", "b"], events: "unit:*" }],
    { retry_s: [0.01] },
    { worker: { DESTINATION_BACKLOG: "3" } },
  );
  receivers.a.answer(500);
  receivers.b.answer((r) => (r.subject === "unit:DEAD" ? 500 : 204));
  tell(bridge, "DEAD", 1);
  tell(bridge, "GOOD", 1);
  await accepts(receivers.b, 1);
  receivers.a.answer(429);
  for (let n = 2; n < 12; n += 1) tell(bridge, `M${n}`, n);
  interface Shown {
    code: string;
    about?: string;
    count?: number;
    oldest_seconds?: number;
    message: string;
    lost: string;
  }
  const all = await until("health shows both", async () => {
    const { body } = await bridge.get("/health");
    const found = body["problems"] as Shown[];
    const has = (code: string, about: string) => found.some((p) => p.code === code && p.about === about);
    return has("destination-dead-letters", "b") && has("destination-backlog-full", "a") && found;
  });
  expect(all.find((p) => p.code === "destination-dead-letters" && p.about === "b")).toMatchObject({
    count: 1,
    oldest_seconds: expect.any(Number),
    message: expect.stringContaining("1 event for the destination b"),
    lost: expect.stringMatching(/^Nothing yet: /),
  });
  expect(all.find((p) => p.code === "destination-backlog-full")).toMatchObject({
    count: 3,
    oldest_seconds: expect.any(Number),
    lost: expect.stringMatching(/^Nothing: events are kept/),
  });
  expect(all.find((p) => p.code === "destination-paused" && p.about === "a")?.message).toMatch(/next attempt is at 2/);
  const { body } = await bridge.get("/status");
  expect(JSON.stringify(body)).toContain("destination-backlog-full");
});

describe("a restart of the worker", () => {
  test("loses nothing, repeats only what was not confirmed, and keeps the order", async () => {
    const { bridge, receivers, env } = await withDestinations(["a"], ALL, { timeout_ms: 20_000 });
    receivers.a.answer((r) => (statusOf(r) === "s2" ? "hang" : 204));
    for (const unit of ["A", "B"]) tell(bridge, unit, 1, 2, 3);
    await until("both hang", () => receivers.a.received.filter((r) => statusOf(r) === "s2").length === 2);
    await bridge.worker()?.stop();
    receivers.a.answer(204);
    await bridge.startWorker(env);
    const all = await accepts(receivers.a, 6);
    for (const unit of ["A", "B"]) expect(of(all, unit)).toEqual(["s1", "s2", "s3"]);
    expect(receivers.a.received).toHaveLength(8);
  });

  // It starts a process, which takes long on a busy machine.
  test("that is killed loses nothing, and a confirmed event does not come again", { timeout: 60_000 }, async () => {
    const { bridge, receivers, env } = await withDestinations(["a"], ALL, { timeout_ms: 20_000 });
    await bridge.worker()?.stop();
    const dir = mkdtempSync(join(tmpdir(), "socket-bridge-killed-"));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const killed = await startProcess({
      name: "worker",
      script: "worker/main.ts",
      output: join(dir, "worker.log"),
      env: {
        ...env,
        REDIS_URL: inject("redisUrl"),
        REDIS_PREFIX: bridge.prefix,
        CAD_BACKEND_URL: bridge.cad.url,
        CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN,
        WORKER_PORT: "0",
        LOG_FILE: undefined,
      },
      readyWhen: async () => ((await bridge.get("/health")).body["bridge"] as { ready: boolean }).ready,
    });
    onTestFinished(async () => void (await killed.stop()));
    receivers.a.answer((r) => (statusOf(r) === "s2" ? "hang" : 204));
    for (const unit of ["A", "B"]) tell(bridge, unit, 1, 2, 3);
    await until("both hang", () => receivers.a.received.filter((r) => statusOf(r) === "s2").length === 2);
    killed.kill("SIGKILL");
    await killed.exited;
    receivers.a.answer(204);
    await bridge.startWorker(env);
    const all = await accepts(receivers.a, 6, 15_000);
    for (const unit of ["A", "B"]) expect(of(all, unit)).toEqual(["s1", "s2", "s3"]);
    await becomes(bridge, "a", (d) => d.waiting === 0);
    expect(of(receivers.a.received, "A")).toEqual(["s1", "s2", "s2", "s3"]);
  });

  test("does not make a message's next attempt come sooner", async () => {
    const { bridge, receivers, env } = await withDestinations(["a"], ALL, { retry_s: [1000] });
    receivers.a.answer((r) => (r.subject === "unit:BAD" ? 500 : 204));
    tell(bridge, "BAD", 1);
    const { redis, keys } = redisOf(bridge);
    await until("it rests", async () => {
      const [id] = await redis.zrange(keys.runnable, "0", "-1");
      return id !== undefined && (await redis.hget(keys.record(id), "retry_at")) !== null;
    });
    await restart(bridge, env);
    tell(bridge, "GOOD", 1);
    await accepts(receivers.a, 1);
    expect(of(receivers.a.received, "BAD")).toEqual(["s1"]);
  });

  test("finds a destination disabled, as it was left", async () => {
    const { bridge, receivers, env } = await withDestinations(["a"], ALL);
    receivers.a.answer(410);
    tell(bridge, "A", 1);
    await becomes(bridge, "a", (d) => d.state === "disabled");
    const { redis, keys } = redisOf(bridge);
    await until("it is kept", async () => (await redis.hget(`${keys.base}:state`, "state"))?.includes("disabled"));
    await restart(bridge, env);
    tell(bridge, "A", 2);
    await becomes(bridge, "a", (d) => d.state === "disabled" && d.waiting === 2);
    expect(receivers.a.received).toHaveLength(1);
  });
});

describe("responses of a destination", () => {
  test("what rests for long since it failed is tried at once when it is well again", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL, { retry_s: [0.2, 1000] });
    receivers.a.answer(500);
    for (const unit of ["A", "B", "C"]) tell(bridge, unit, 1);
    await until("one rests for long", () => receivers.a.received.length >= 5);
    receivers.a.answer(204);
    tell(bridge, "D", 1);
    await accepts(receivers.a, 4, 15_000);
    await becomes(bridge, "a", (d) => d.state === "ok" && d.waiting === 0);
  });

  test("no more requests go out in a second than its rate", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL, { rate: 3 });
    for (const unit of ["A", "B", "C", "D", "E", "F", "G"]) tell(bridge, unit, 1);
    const all = await accepts(receivers.a, 7);
    expect((all[6]?.at ?? 0) - (all[0]?.at ?? 0)).toBeGreaterThan(1500);
  });

  test("enabled once and disabled again, it stays so until it is enabled again", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL);
    receivers.a.answer(410);
    tell(bridge, "A", 1);
    for (const count of [1, 2]) {
      await becomes(bridge, "a", (d) => d.state === "disabled");
      expect(receivers.a.received).toHaveLength(count);
      await bridge.post("/destinations/a/enable", {});
      await until("it is tried again", () => receivers.a.received.length > count);
    }
  });

  test.each([
    ["429 in seconds", { status: 429, headers: { "Retry-After": "1" } }],
    ["503 as a date", () => ({ status: 503, headers: { "Retry-After": new Date(Date.now() + 2000).toUTCString() } })],
  ])("Retry-After of %s is obeyed for the whole destination, and uses up no attempt", async (_what, answer) => {
    const { bridge, receivers } = await withDestinations(["a"], ALL, { retry_s: [0.05] });
    let refused = 0;
    const busy = typeof answer === "function" ? answer() : answer;
    receivers.a.answer(() => ((refused += 1) <= 1 ? busy : 204));
    tell(bridge, "A", 1);
    await until("it was asked to wait", () => receivers.a.received.length === 1);
    tell(bridge, "B", 1);
    await becomes(bridge, "a", (d) => d.state === "paused");
    const all = await accepts(receivers.a, 2);
    const [first, second] = receivers.a.received;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(900);
    expect(all).toHaveLength(2);
    await becomes(bridge, "a", (d) => d.state === "ok" && d.dead_letters === 0);
  });

  test("a redirect is a failure, and is not followed", async () => {
    const { bridge, receivers } = await withDestinations(["a", "b"], ALL, { retry_s: [0.01] });
    receivers.a.answer({ status: 307, headers: { Location: receivers.b.url } });
    tell(bridge, "A", 1);
    await becomes(bridge, "a", (d) => d.dead_letters === 1);
    await becomes(bridge, "a", (d) => d.last_error === "it answered 307, a redirect, which is not followed");
    expect(receivers.b.received).toEqual([]);
  });

  test("a private address is refused when the name is resolved", async () => {
    const { secret, url } = await freshReceiver();
    const destinations = [
      { id: "a", url: url.replace("http://127.0.0.1", "https://localhost"), secret, phi: true, retry_s: [0.01] },
    ];
    const worker = { ROUTES_FILE: writeRoutes({ destinations, rules: ALL }), ALLOW_PRIVATE_DESTINATIONS: "false" };
    const { bridge } = await withDestinations([], [], {}, { worker });
    tell(bridge, "A", 1);
    await becomes(bridge, "a", (d) => d.dead_letters === 1 && /its address is private/.test(d.last_error ?? ""));
  });
});

describe("webhooks stored in Redis", () => {
  test("what is sealed for one does not open for another, which is to get less of it", async () => {
    const PAYLOAD_KEYS = `k:${Buffer.alloc(32, 7).toString("base64")}`;
    const rules = [
      { to: "a", events: "unit:*" },
      { to: "b", events: "unit:*", fields: ["unitId"] },
    ];
    const sealed = { worker: { PAYLOAD_KEYS }, functions: { PAYLOAD_KEYS } };
    const { bridge, receivers, env } = await withDestinations(["a", "b"], rules, {}, sealed);
    for (const receiver of [receivers.a, receivers.b]) receiver.answer(500);
    tell(bridge, "M1", 1);
    for (const id of ["a", "b"]) await becomes(bridge, id, (d) => d.waiting === 1);
    await bridge.worker()?.stop();
    const { redis, keys } = redisOf(bridge);
    const [id = ""] = await redis.zrange(keys.open, "0", "0");
    const theirs = destinationKeys(bridge.prefix, "b").record(id);
    await redis.hset(theirs, "body", (await redis.hget(keys.record(id), "body")) ?? "");
    for (const receiver of [receivers.a, receivers.b]) receiver.answer(204);
    await bridge.startWorker(env);
    await becomes(bridge, "b", (d) => d.dead_letters === 1);
    expect(await accepts(receivers.a, 1)).toMatchObject([{ data: { status: "s1" } }]);
    expect(receivers.b.accepted()).toEqual([]);
  });

  test("payloads are sealed there, and arrive in clear; also those that are sent again", async () => {
    const PAYLOAD_KEYS = `k:${Buffer.alloc(32, 7).toString("base64")}`;
    const options = { worker: { PAYLOAD_KEYS }, functions: { PAYLOAD_KEYS } };
    const { bridge, receivers } = await withDestinations(["a"], ALL, { retry_s: [0.01] }, options);
    receivers.a.answer(400);
    bridge.cad.broadcast("incident:new", { incidentId: "I1", details: "canary of a patient" });
    await becomes(bridge, "a", (d) => d.dead_letters === 1);
    const { redis } = redisOf(bridge);
    expect(await dumpRedis(redis, bridge.prefix)).not.toContain("canary");
    receivers.a.answer(204);
    await bridge.post("/dead-letters/redrive", { destination: "a" });
    const [first] = await accepts(receivers.a, 1, 20_000);
    expect(first).toMatchObject({ verified: true, data: { details: "canary of a patient" } });
    expect(await dumpRedis(redis, bridge.prefix)).not.toContain("canary");
    expect(JSON.stringify(bridge.logs)).not.toContain("canary");
  });

  test("an outbox that is full makes the events wait in the journal, and nothing is lost", async () => {
    const options = { worker: { DESTINATION_BACKLOG: "3" } };
    const { bridge, receivers } = await withDestinations(["a"], ALL, { timeout_ms: 20_000 }, options);
    receivers.a.answer(410);
    const units = Array.from({ length: 10 }, (_, i) => `U${i}`);
    for (const unit of units) tell(bridge, unit, 1);
    await becomes(bridge, "a", (d) => d.state === "disabled" && d.waiting === 3);
    receivers.a.answer(204);
    await bridge.post("/destinations/a/enable", {});
    const all = await accepts(receivers.a, 10, 15_000);
    expect(new Set(all.map((r) => r.subject)).size).toBe(10);
  });

  test("a destination that was removed with a backlog is told of, and gets it all once it is back", async () => {
    const { bridge, receivers, env } = await withDestinations(["a"], ALL);
    receivers.a.answer(410);
    tell(bridge, "A", 1, 2);
    await becomes(bridge, "a", (d) => d.state === "disabled" && d.waiting === 2);
    await bridge.worker()?.stop();
    await bridge.startWorker({});
    const left = await becomes(bridge, "a", (d) => d.state === "removed");
    expect(left).toMatchObject({ waiting: 2, reason: expect.stringMatching(/2 messages for it wait/) });
    expect(bridge.logs.some((l) => l.message.startsWith("a removed destination"))).toBe(true);
    expect((await problems(bridge)).status).toBe("degraded");
    await bridge.worker()?.stop();
    receivers.a.answer(204);
    await bridge.post("/destinations/a/enable", {});
    await bridge.startWorker(env);
    expect(of(await accepts(receivers.a, 2), "A")).toEqual(["s1", "s2"]);
  });

  test("nobody sees a secret, a header's value or the query of a URL", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL, { headers: { "X-Api-Key": "canary-1" } });
    tell(bridge, "A", 1);
    await accepts(receivers.a, 1);
    const everything = JSON.stringify([
      await bridge.get("/destinations"),
      await bridge.get("/status"),
      bridge.logs,
      await dumpRedis(redisOf(bridge).redis, bridge.prefix),
    ]);
    expect(everything).not.toMatch(/canary|whsec_/);
  });
});
