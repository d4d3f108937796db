import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { MAX_REFUSALS } from "../../worker/commands/deliver.ts";
import { type Bridge, CAD_TOKEN, startBridge } from "../support/bridge.ts";
import { until } from "../../tools/support/until.ts";

const status = (unit_id: string, word = "enroute") => ({ unit_id, status: word });
const location = (unit_id: string, latitude: number) => ({ unit_id, latitude, longitude: 0 });
const post = async (bridge: Bridge, path: string, body: unknown, headers?: Record<string, string>) =>
  (await bridge.post(path, body, headers)).body["command_id"];
const degraded = (bridge: Bridge, problem = "") =>
  until(`health says degraded: ${problem}`, async () => {
    const { body } = await bridge.get("/health");
    return body["status"] === "degraded" && JSON.stringify(body["problems"]).includes(problem) && body;
  });

describe("responses of the CAD", () => {
  test("a command that it refuses for now is sent again, and the next one waits for it", async () => {
    const bridge = await startBridge({ cad: { character: "modern", switches: { refuse: { next: 2 } } } });
    const first = await post(bridge, "/units/status", status("1"));
    const second = await post(bridge, "/units/status", status("1", "onscene"));
    expect(await bridge.settled(first)).toMatchObject({ status: "confirmed", sends: 3 });
    expect(await bridge.settled(second)).toMatchObject({ status: "confirmed", sends: 1 });
    expect(bridge.cad.ledger.summary()).toMatchObject({ violations: 0, lateRepeats: 0, duplicates: 2 });
  });

  test("a command that it refuses for good is a dead letter with the reason, and the next one goes on", async () => {
    const bridge = await startBridge({ cad: { character: "modern", switches: { reject: { next: 1 } } } });
    const first = await post(bridge, "/units/status", status("1"));
    const second = await post(bridge, "/units/status", status("1", "onscene"));
    expect(await bridge.settled(first)).toMatchObject({
      status: "rejected",
      sends: 1,
      reason: expect.stringMatching(/^the CAD said/),
    });
    expect(await bridge.settled(second)).toMatchObject({ status: "confirmed" });
    expect((await bridge.get("/health")).body["backlog"]).toMatchObject({ dead_letters: 1, unsettled: 0 });
  });

  test("a unit that is refused again and again delays no other", async () => {
    const bridge = await startBridge({ cad: { character: "modern", switches: { refuse: { next: 3 } } } });
    const blocked = await post(bridge, "/units/status", status("blocked"));
    await until("it was refused", () => bridge.cad.ledger.summary().received > 1);
    bridge.cad.switches.refuse = { next: MAX_REFUSALS };
    await until("it waits for its next try", () => {
      const tries = bridge.cad.ledger.entries().filter((e) => e.keys.includes("unit:blocked"));
      return tries.length >= 2;
    });
    bridge.cad.switches.refuse = 0;
    const other = await bridge.deliver("/units/status", status("other"));
    expect(other).toMatchObject({ status: "confirmed" });
    expect(await bridge.settled(blocked, 15_000)).toMatchObject({ status: "confirmed" });
  });

  test("a value whose echo does not come is resent in its place, and the next one waits for it", async () => {
    const bridge = await startBridge({
      cad: { character: "legacy", switches: { dropEchoes: { next: 1 } } },
      worker: { CAD_CONFIRM_TIMEOUT_MS: "200" },
    });
    const first = await post(bridge, "/units/status", status("1"));
    const second = await post(bridge, "/units/status", status("1", "onscene"));
    expect(await bridge.settled(first)).toMatchObject({ status: "confirmed", proof: "echoed", sends: 2 });
    expect(await bridge.settled(second)).toMatchObject({ status: "confirmed" });
    expect(bridge.cad.ledger.summary()).toMatchObject({ violations: 0, lateRepeats: 0, duplicates: 1 });
  });

  test("a relay whose echo does not come is unconfirmed, is not sent again, and lets the next one go on", async () => {
    const bridge = await startBridge({
      cad: { character: "legacy", switches: { dropEchoes: { next: 1 } } },
      worker: { CAD_CONFIRM_TIMEOUT_MS: "200" },
    });
    const body = { incident_id: "1", incident_type: "Fall", address: "1 Main St", priority: 2 };
    const first = await post(bridge, "/incidents", body);
    const second = await post(bridge, "/incidents/status", { incident_id: "1", status: "ASSIGNED", user_id: "d" });
    const receipt = { status: "unconfirmed", sends: 1, confirmed_by: "barrier", proof: "received" };
    expect(await bridge.settled(first)).toMatchObject(receipt);
    expect(await bridge.settled(second)).toMatchObject({ status: "confirmed" });
  });

  test("an ack that gets lost does not matter where the echo comes", async () => {
    const bridge = await startBridge({ cad: { character: "modern", switches: { dropAcks: 1 } } });
    expect(await bridge.deliver("/units/status", status("1"))).toMatchObject({
      status: "confirmed",
      confirmed_by: "echo",
    });
  });

  test.each([
    ["ack", "modern", "confirmed", "ack"],
    ["echo", "modern", "confirmed", "echo"],
    ["barrier", "legacy", "received", "barrier"],
    ["fence", "legacy", "received", "barrier"],
  ] as const)("CAD_CONFIRM=%s with a %s CAD: %s by %s", async (mode, character, state, by) => {
    const bridge = await startBridge({ cad: { character }, worker: { CAD_CONFIRM: mode } });
    expect(await bridge.deliver("/units/status", status("1"))).toMatchObject({ status: state, confirmed_by: by });
  });

  test("an id that the CAD does not know delays no other unit, and does not make the CAD not ready", async () => {
    const bridge = await startBridge({
      cad: { character: "legacy", switches: { strict: true } },
      worker: { CAD_CONFIRM_TIMEOUT_MS: "300" },
    });
    const bad = await Promise.all(["a", "b", "c"].map(() => post(bridge, "/units/status", status("UNIT-1"))));
    const receipts = await until("they are settled while others are answered", async () => {
      const good = await bridge.deliver("/units/status", status(crypto.randomUUID()));
      expect(good).toMatchObject({ status: "confirmed" });
      const found = await Promise.all(bad.map(async (id) => (await bridge.get(`/commands/${String(id)}`)).body));
      return found.every((receipt) => receipt["final"] === true) && found;
    });
    // The first is resent twice; of what did not help once, the next is not.
    expect(receipts.map((receipt) => receipt["status"])).toEqual(Array(3).fill("unconfirmed"));
    const sends = receipts.map((receipt) => Number(receipt["sends"])).toSorted((a, b) => a - b);
    expect([sends[0], (sends[2] ?? 0) >= 3]).toEqual([1, true]);
    expect((await bridge.get("/health")).body["status"]).toBe("healthy");
  });

  test("a CAD that takes commands and confirms none makes them wait, and they go on when it confirms again", async () => {
    const bridge = await startBridge({
      cad: { character: "legacy", switches: { dropEchoes: 1 } },
      worker: { CAD_CONFIRM_TIMEOUT_MS: "50" },
    });
    const ids: unknown[] = [];
    for (let i = 0; i < 3; i += 1) ids.push(await post(bridge, "/units/status", status(`u${i}`)));
    await degraded(bridge, "cad-not-confirming");
    for (let i = 3; i < 40; i += 1) ids.push(await post(bridge, "/units/status", status(`u${i}`)));
    bridge.cad.switches.dropEchoes = 0;
    const receipts = await Promise.all(ids.map((id) => bridge.settled(id, 15_000)));
    const unconfirmed = receipts.filter((r) => r.status === "unconfirmed");
    // Those by which it was noticed are held, and sent again.
    expect(unconfirmed).toEqual([]);
    expect(receipts.filter((r) => r.status === "confirmed")).toHaveLength(receipts.length);
    await bridge.healthy();
  });
});

describe("time to live and latest wins", () => {
  test("what was not worth sending any more expires while the CAD is away; the rest is delivered", async () => {
    const bridge = await startBridge();
    await bridge.cad.stop();
    await degraded(bridge);
    const brief = await post(bridge, "/units/status", status("1"), { "Command-TTL": "1" });
    const lasting = await post(bridge, "/units/status", status("1", "onscene"));
    expect(await bridge.settled(brief)).toMatchObject({ status: "expired", sends: 0 });
    expect((await bridge.get(`/commands/${String(lasting)}`)).body).toMatchObject({
      status: "queued",
      expires_at: null,
    });
  });

  test("of the positions that a unit sent while the CAD was away, the newest arrives", async () => {
    const bridge = await startBridge({ cad: { character: "modern" } });
    bridge.cad.switches.refuseToken = true;
    bridge.cad.dropConnections();
    await degraded(bridge);
    const ids: unknown[] = [];
    for (let i = 0; i < 20; i += 1) ids.push(await post(bridge, "/units/location", location("1", i)));
    bridge.cad.switches.refuseToken = false;
    expect(await bridge.settled(ids.at(-1))).toMatchObject({ status: "confirmed" });
    const earlier = await Promise.all(ids.slice(0, -1).map((id) => bridge.settled(id)));
    expect(earlier.map((r) => r.status)).toEqual(Array.from({ length: 19 }, () => "superseded"));
    expect(bridge.cad.ledger.summary().byEvent["unit:location"]).toBe(1);
  });
});

describe("the connection to the CAD", () => {
  test("commands that were accepted before the CAD ever answered are delivered in order once it does", async () => {
    const bridge = await startBridge({ cad: { character: "legacy", switches: { refuseToken: true } }, worker: false });
    const ids: unknown[] = [];
    for (let i = 0; i < 60; i += 1)
      ids.push(await post(bridge, "/units/status", status(`u${i % 3}`, ["enroute", "onscene"][i % 2])));
    await bridge.startWorker();
    const health = await degraded(bridge, "Authentication failed");
    expect(health["bridge"]).toMatchObject({
      connected: false,
      last_error: expect.stringContaining("Authentication failed"),
    });
    bridge.cad.switches.refuseToken = false;
    for (const id of ids) expect(await bridge.settled(id)).toMatchObject({ status: "confirmed", sends: 1 });
    expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 60, violations: 0, appliedViolations: 0 });
  });

  test("a token refused by fastapi:authenticate is reported in health and retried forever", async () => {
    const bridge = await startBridge({ cad: { switches: { authFails: true } }, worker: false });
    await bridge.startWorker();
    const health = await degraded(bridge, "refused the token");
    expect(health["bridge"]).toMatchObject({
      authenticated: false,
      last_error: expect.stringContaining("refused the token"),
    });
    bridge.cad.switches.authFails = false;
    await bridge.healthy();
  });

  test("a CAD that never answers fastapi:authenticate counts as ready after a while, with a warning", async () => {
    const bridge = await startBridge({ cad: { switches: { authSilent: true } }, worker: { CAD_AUTH_WAIT_MS: "100" } });
    expect(await bridge.deliver("/units/status", status("1"))).toMatchObject({ status: "confirmed" });
    expect(
      bridge.logs.some((l) => l.level === "warn" && l.message.includes("does not answer fastapi:authenticate")),
    ).toBe(true);
  });

  test("a CAD that restarts under load loses nothing, and nothing is overtaken", async () => {
    const bridge = await startBridge({ cad: { character: "modern" } });
    const ids: unknown[] = [];
    const restarts = (async () => {
      for (let i = 0; i < 3; i += 1) {
        const seen = bridge.cad.ledger.summary().received;
        await until("some more have arrived", () => bridge.cad.ledger.summary().received > seen + 20);
        await bridge.cad.restart();
      }
    })();
    for (let i = 0; i < 400; i += 1) ids.push(await post(bridge, "/units/status", status(`u${i % 20}`)));
    await restarts;
    for (const id of ids) expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
    expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 400, violations: 0, lateRepeats: 0 });
  });

  test("a command that breaks the connection each time is a dead letter after 3 tries, and holds up no other", async () => {
    const bridge = await startBridge({ cad: { character: "modern", maxPayload: 20_000 } });
    const poison = {
      unit_id: "P",
      incident_id: "P",
      incident_type: "x",
      address: "x",
      priority: 1,
      details: { note: "x".repeat(30_000) },
    };
    const poisonId = await post(bridge, "/assignments/send", poison);
    const behind = await post(bridge, "/units/status", status("P"));
    const others: unknown[] = [];
    for (let i = 0; i < 60; i += 1) others.push(await post(bridge, "/units/status", status(`u${i % 20}`)));
    expect(await bridge.settled(poisonId)).toMatchObject({
      status: "failed",
      sends: 3,
      reason: expect.stringMatching(/^poison/),
    });
    expect(await bridge.settled(behind)).toMatchObject({ status: "confirmed" });
    for (const id of others) expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
    expect(bridge.cad.ledger.summary()).toMatchObject({ violations: 0, lateRepeats: 0 });
  });

  test("what makes the CAD die some time after it received it is found among many, and no other is blamed", async () => {
    const bridge = await startBridge({ cad: { character: "legacy", switches: { delayMs: { min: 60, max: 61 } } } });
    const ofPoison = () => bridge.cad.ledger.entries().filter((e) => e.keys.includes("unit:P")).length;
    let seen = 0;
    const dying = setInterval(() => {
      if (ofPoison() === seen) return;
      seen = ofPoison();
      setTimeout(() => bridge.cad.dropConnections(), 30);
    }, 1);
    onTestFinished(() => clearInterval(dying));
    const poison = await post(bridge, "/units/status", status("P"));
    const others: unknown[] = [];
    for (let i = 0; i < 60; i += 1) others.push(await post(bridge, "/units/status", status(`u${i}`)));
    expect(await bridge.settled(poison)).toMatchObject({ status: "failed", sends: 3 });
    for (const id of others) expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
  });

  test("a CAD that closes the connection on every command does not turn the backlog into dead letters", async () => {
    const bridge = await startBridge({ cad: { character: "legacy", switches: { dropEchoes: 1 } } });
    const received = () => bridge.cad.ledger.summary().byEvent["unit:status"] ?? 0;
    let seen = 0;
    const closing = setInterval(() => {
      if (received() === seen) return;
      seen = received();
      bridge.cad.dropConnections();
    }, 1);
    onTestFinished(() => clearInterval(closing));
    const ids: unknown[] = [];
    for (let i = 0; i < 40; i += 1) ids.push(await post(bridge, "/units/status", status(`u${i}`)));
    await degraded(bridge, "cad-breaks-connection");
    const then = received();
    await until("it was tried some more times", () => received() > then + 1, 15_000);
    clearInterval(closing);
    bridge.cad.switches.dropEchoes = 0;
    const receipts = await Promise.all(ids.map((id) => bridge.settled(id, 25_000)));
    expect(receipts.filter((r) => r.status === "failed").length).toBeLessThanOrEqual(3);
    expect(receipts.filter((r) => r.status === "confirmed").length).toBeGreaterThanOrEqual(37);
    await bridge.healthy();
  }, 60_000);

  test("a CAD that hangs is noticed within 10 s, and what it had is sent again with the same id", async () => {
    const bridge = await startBridge({ cad: { character: "modern" } });
    bridge.cad.switches.hang = true;
    const hung = performance.now();
    const id = await post(bridge, "/units/status", status("1"));
    const health = await until(
      "the hang is noticed",
      async () => {
        const { body } = await bridge.get("/health");
        return body["status"] === "degraded" && body;
      },
      10_000,
    );
    expect(performance.now() - hung).toBeLessThan(10_000);
    expect(health["problems"]).toEqual([
      expect.objectContaining({
        code: "cad-disconnected",
        message: expect.stringContaining("did not answer") as string,
      }),
    ]);
    bridge.cad.switches.hang = false;
    const receipt = await bridge.settled(id);
    expect(receipt).toMatchObject({ status: "confirmed" });
    expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 1, violations: 0 });
  });

  test("payloads that are not what they should be are counted, and trouble nobody", async () => {
    const bridge = await startBridge();
    for (const payload of [null, "text", 7, [], {}, { unitId: null }, { unitId: "1", status: 5 }]) {
      bridge.cad.broadcast("unit:status:updated", payload);
    }
    bridge.cad.broadcast("no:such:event", { a: 1 });
    bridge.cad.broadcast("unit:status:updated", { unitId: "1", status: "onscene", extra: true });
    const events = await until("all are counted", async () => {
      const report = (await bridge.get("/status")).body["worker_report"] as { events: Record<string, unknown> };
      const counted = report.events["unit:status:updated"] as { received: number };
      return counted.received === 8 && report.events;
    });
    expect(events).toMatchObject({
      "unit:status:updated": { received: 8, malformed: 7 },
      "(unknown)": { received: 1 },
    });
    expect(await bridge.deliver("/units/status", status("1"))).toMatchObject({ status: "confirmed" });
  });
});

describe("POST /reconnect", () => {
  test("is 200 once the bridge is ready on a new connection", async () => {
    const bridge = await startBridge({ cad: { character: "modern" } });
    const id = await post(bridge, "/units/status", status("1"));
    const answer = await bridge.post("/reconnect", {});
    expect(answer).toMatchObject({ status: 200, body: { success: true } });
    expect((await bridge.get("/health")).body["bridge"]).toMatchObject({ ready: true, connection_attempts: 0 });
    expect(await bridge.settled(id)).toMatchObject({ status: "confirmed", sends: 1 });
  });

  test("is 504 with the reason if the CAD does not return in time", async () => {
    const bridge = await startBridge();
    bridge.cad.switches.refuseToken = true;
    const answer = await bridge.post("/reconnect", {});
    expect(answer).toMatchObject({
      status: 504,
      body: { code: "reconnect-timeout", detail: expect.stringContaining("Authentication failed") },
    });
  });

  test("takes the CAD's token from its file anew, and the last good one if the file has none any more", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "socket-bridge-token-")), "token");
    onTestFinished(() => rmSync(dirname(file), { recursive: true, force: true }));
    writeFileSync(file, `${CAD_TOKEN}\n`);
    const bridge = await startBridge({
      worker: { CAD_BACKEND_AUTH_TOKEN: "", CAD_BACKEND_AUTH_TOKEN_FILE: file },
    });
    bridge.cad.setToken("the next token");
    writeFileSync(file, "the next token\n");
    expect(await bridge.post("/reconnect", {})).toMatchObject({ status: 200 });
    expect((await bridge.get("/status")).body["bridge"]).toMatchObject({ authenticated: true });
    for (const spoil of [() => writeFileSync(file, "\n"), () => rmSync(file)]) {
      spoil();
      expect(await bridge.post("/reconnect", {})).toMatchObject({ status: 200 });
    }
    const warnings = bridge.logs.filter((line) => line.message === "the token stays the last good one");
    expect(new Set(warnings.map((w) => w.fields["reason"]))).toEqual(
      new Set(
        ["is empty", "cannot be read (ENOENT)"].map(
          (why) => `CAD_BACKEND_AUTH_TOKEN_FILE: the file that it names ${why}`,
        ),
      ),
    );
    expect(JSON.stringify(bridge.logs)).not.toContain("the next token");
  });

  test("is 503 without a worker", async () => {
    const bridge = await startBridge();
    await bridge.worker()?.stop();
    expect(await bridge.post("/reconnect", {})).toMatchObject({ status: 503, body: { code: "no-worker" } });
    expect(await bridge.get("/health")).toMatchObject({
      status: 503,
      body: { status: "unhealthy", problems: [{ code: "worker-stopped", since: expect.any(String) }] },
    });
  });
});

describe("a worker and its standby", () => {
  test("a standby takes over when the owner stops, and delivers what was left", async () => {
    const bridge = await startBridge({ cad: { character: "modern" } });
    const owner = bridge.worker();
    await bridge.startWorker();
    await until("it stands by", () => bridge.logs.some((l) => l.message.includes("standing by")));
    const ids: unknown[] = [];
    const stopping = until("some have arrived", () => bridge.cad.ledger.summary().received > 20).then(() =>
      owner?.stop(),
    );
    for (let i = 0; i < 200; i += 1) ids.push(await post(bridge, "/units/status", status(`u${i % 10}`)));
    await stopping;
    for (const id of ids) expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
    expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 200, violations: 0, lateRepeats: 0, duplicates: 0 });
    expect((await bridge.get("/health")).body["worker"]).toMatchObject({ epoch: 2 });
  });

  test("stopping twice is stopping once, and what is in flight is settled first", async () => {
    const bridge = await startBridge({ cad: { character: "modern", switches: { delayMs: { min: 300, max: 301 } } } });
    const id = await post(bridge, "/units/status", status("1"));
    await until("it is in flight", () => bridge.cad.ledger.summary().byEvent["unit:status"]);
    await Promise.all([bridge.worker()?.stop(), bridge.worker()?.stop()]);
    expect((await bridge.get(`/commands/${String(id)}`)).body).toMatchObject({ status: "confirmed", sends: 1 });
  });
});

test("one log line has the outcome of each command, and no line contains any of its payload", async () => {
  const bridge = await startBridge({ cad: { character: "modern" } });
  const receipt = await bridge.deliver("/transport/completed", {
    incident_id: "INC-1",
    epcr_id: "E-1",
    transport_type: "ALS",
    patient_name: "Canary Patient",
    billing_data: { insurance: "CANARY-4711" },
  });
  await bridge.deliver("/assignments/send", {
    unit_id: "M1",
    incident_id: "INC-1",
    incident_type: "Canary Type",
    address: "Canary Street",
    priority: 1,
  });
  const outcomes = bridge.logs.filter((l) => l.message === "settled" && l.fields["command_id"] === receipt.command_id);
  expect(outcomes).toMatchObject([{ level: "info", fields: { command: "transport/completed", state: "confirmed" } }]);
  expect(JSON.stringify(bridge.logs)).not.toMatch(/canary/i);
});
