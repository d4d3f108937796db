import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { commands } from "../../shared/commands/table.ts";
import { startRedis } from "../../tools/setup/redis.ts";
import { runScript } from "../../tools/setup/run-script.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { openStateWriter } from "../../shared/state/apply.ts";
import { nowMicros } from "../../shared/util/time.ts";
import { ownJournal } from "../support/own-journal.ts";
import { type Bridge, startBridge, tokens } from "../support/bridge.ts";
import { testRedis } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

const STATUS = { unit_id: "M1", status: "enroute" };
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const AUDIT_KEY = "the key of the audit trail of the tests";

/** Ids that begin alike are not the same. */
const LONG = ["I", "J"].map((end) => "I".repeat(150) + end);

interface Entry extends Record<string, unknown> {
  id: string;
  at: string;
}
/** The trail, the oldest first; the query's own reading is not in it. */
async function trail(bridge: Bridge, query = ""): Promise<Entry[]> {
  const { status, body } = await bridge.get(`/audit?limit=500${query}`);
  expect(status).toBe(200);
  return (body["entries"] as Entry[]).toReversed().slice(0, -1);
}
const functionsOnly = (functions?: Record<string, string>) =>
  startBridge({ worker: false, ...(functions && { functions }) });

/** A bridge that knows a unit, incidents and an event. */
async function withState(): Promise<Bridge & { event: string }> {
  const bridge = await functionsOnly();
  const { redis, keys, write } = await ownJournal(bridge.prefix);
  const apply = openStateWriter(redis, keys, createSealer([]));
  for (const about of ["unit:M1", "incident:I1", ...LONG.map((id) => `incident:${id}` as const)] as const)
    await apply({ about, aspect: "status", value: "enroute" }, nowMicros());
  const [entry] = await write({});
  return Object.assign(bridge, { event: entry?.id ?? "" });
}

test("whoever asks for made-up ids, or is refused them, fills the trail with one entry an hour and action", async () => {
  const bridge = await functionsOnly();
  const crew = { ...bearer(tokens.crew) };
  for (let i = 0; i < 5; i += 1) {
    expect((await bridge.get(`/units/made-up-${i}`, crew)).status).toBe(404);
    expect((await bridge.get(`/events/${i + 1}-1`, crew)).status).toBe(403);
    expect((await bridge.get(`/dead-letters/made-up-${i}`)).status).toBe(404);
  }
  expect((await trail(bridge)).map(({ action, about, outcome, nth }) => ({ action, about, outcome, nth }))).toEqual([
    { action: "GET /units/{id}", about: ["unit:made-up-0"], outcome: "not-found", nth: 1 },
    { action: "GET /events/{id}", about: [], outcome: "forbidden", nth: 1 },
    { action: "GET /dead-letters/{id}", about: [], outcome: "not-found", nth: 1 },
  ]);
  const counts = await testRedis().hgetall(`{${bridge.prefix}}:cad:audit:counts`);
  expect(counts).toMatchObject({ "not-found GET /units/{id}": "5", "forbidden GET /events/{id}": "5" });
});

test("who read of units, incidents and events is there once in a while, with what was read", async () => {
  const bridge = await withState();
  for (let i = 0; i < 3; i += 1) {
    for (const path of ["/units", "/units/M1", "/incidents/I1", "/events/history", `/events/${bridge.event}`])
      await bridge.get(path, bearer(tokens.dispatcher));
  }
  for (const id of LONG) await bridge.get(`/incidents/${id}`, bearer(tokens.dispatcher));
  const seen = (await trail(bridge)).map(({ action, about, outcome }) => ({ action, about, outcome }));
  expect(seen).toEqual([
    { action: "GET /units", about: [], outcome: "done" },
    { action: "GET /units/{id}", about: ["unit:M1"], outcome: "done" },
    { action: "GET /incidents/{id}", about: ["incident:I1"], outcome: "done" },
    { action: "GET /events/history", about: [], outcome: "done" },
    { action: "GET /events/{id}", about: [], outcome: "done" },
    ...LONG.map((id) => ({ action: "GET /incidents/{id}", about: [`incident:${id}`], outcome: "done" })),
  ]);
});

describe("the audit trail", () => {
  test("every command that was accepted is there once, with who, what, unit or incident, request and address", async () => {
    const bridge = await functionsOnly();
    const ids: unknown[] = [];
    for (const { name, role, examples } of commands) {
      const headers = { ...bearer(tokens[role]), "X-Request-Id": `request-${name.replace("/", "-")}` };
      ids.push((await bridge.post(`/${name}`, examples[0].body, headers)).body["command_id"]);
    }
    const entries = await trail(bridge);
    expect(entries).toHaveLength(commands.length);
    for (const [i, command] of commands.entries()) {
      expect(entries[i]).toEqual({
        authentic: false,
        id: expect.stringMatching(/^\d+-\d+$/),
        at: expect.stringMatching(/^20\d\d-.*Z$/),
        ...{ who: `demo-${command.role}`, role: command.role, action: `POST /${command.name}` },
        about: command.keys(command.body.parse(command.examples[0].body)),
        ...{ outcome: "accepted", command_id: ids[i], request_id: `request-${command.name.replace("/", "-")}`, nth: 1 },
        address: inject("host") === "edge" ? expect.any(String) : "127.0.0.1",
      });
    }
    // Of what the bodies say, the ids alone.
    expect(JSON.stringify(entries)).not.toMatch(/Pat Example|Mission St|Chest Pain|37\.78|General Hospital/);
  });

  test("a repeat is told as one, and what was refused for its body is not there", async () => {
    const bridge = await functionsOnly();
    const key = { "Idempotency-Key": "k" };
    const { command_id: id } = (await bridge.post("/units/status", STATUS, key)).body;
    await bridge.post("/units/status", STATUS, key);
    await bridge.post("/units/status", { ...STATUS, status: "onscene" }, key);
    await bridge.post("/units/status", { unit_id: "M1" });
    const entries = await trail(bridge);
    expect(entries.map((e) => [e["outcome"], e["command_id"]])).toEqual([
      ["accepted", id],
      ["replayed", id],
    ]);
  });

  test("every refusal of a token is there, with who it was if a token said so; those that are alike are counted", async () => {
    const bridge = await functionsOnly();
    const ask = (headers: Record<string, string>) => bridge.post("/metrics/broadcast", { metrics: {} }, headers);
    for (let i = 0; i < 5; i += 1) expect((await ask(bearer("x"))).status).toBe(401);
    expect((await ask(bearer(tokens.crew))).status).toBe(403);
    expect((await bridge.get("/status", bearer(tokens.dispatcher))).status).toBe(403);
    expect((await bridge.get("/dead-letters/some-id", bearer(tokens.crew))).status).toBe(403);
    for (const path of ["/units/M1", "/incidents/I1"]) expect((await bridge.get(path, bearer("x"))).status).toBe(401);
    expect(await trail(bridge)).toMatchObject([
      { outcome: "unauthenticated", who: null, role: null, action: "POST /metrics/broadcast", nth: 1 },
      { outcome: "forbidden", who: "demo-crew", role: "crew", action: "POST /metrics/broadcast" },
      { outcome: "forbidden", who: "demo-dispatcher", action: "GET /status" },
      { outcome: "forbidden", who: "demo-crew", action: "GET /dead-letters/{id}", command_id: "some-id" },
      { outcome: "unauthenticated", action: "GET /units/{id}", about: ["unit:M1"], command_id: null },
      { outcome: "unauthenticated", action: "GET /incidents/{id}", about: ["incident:I1"], command_id: null },
    ]);
    const redis = testRedis();
    const counts = await redis.hgetall(`{${bridge.prefix}}:cad:audit:counts`);
    expect(counts).toMatchObject({ "unauthenticated POST /metrics/broadcast": "5" });
  });

  test("what an administrator does is there before and after, and what it sends again is a command of the administrator", async () => {
    const bridge = await startBridge({ cad: { character: "modern", switches: { reject: 1 } } });
    const { command_id: dead } = await bridge.deliver("/units/status", STATUS);
    const { command_id: other } = await bridge.deliver("/units/status", STATUS);
    bridge.cad.switches.reject = 0;
    await bridge.get("/dead-letters");
    await bridge.get(`/dead-letters/${dead}`);
    const again = (await bridge.post(`/dead-letters/${dead}/redrive`, {})).body["command_id"];
    await fetch(`${bridge.url}/dead-letters/${other}`, { method: "DELETE", headers: bearer(tokens.admin) });
    await bridge.post("/dead-letters/none/redrive", {});
    await bridge.post("/dead-letters/redrive", { dry_run: true });
    await bridge.post("/reconnect", {});
    const entries = await trail(bridge);
    expect(entries.slice(2).map((e) => [e["action"], e["outcome"], e["command_id"]])).toEqual([
      ["GET /dead-letters", "done", null],
      ["GET /dead-letters/{id}", "done", dead],
      ["POST /dead-letters/{id}/redrive", "requested", dead],
      ["POST /dead-letters/{id}/redrive", "accepted", again],
      ["POST /dead-letters/{id}/redrive", "done", dead],
      ["DELETE /dead-letters/{id}", "requested", other],
      ["DELETE /dead-letters/{id}", "done", other],
      ["POST /dead-letters/{id}/redrive", "requested", "none"],
      ["POST /dead-letters/{id}/redrive", "not-found", "none"],
      ["POST /dead-letters/redrive", "requested", null],
      ["POST /dead-letters/redrive", "done", null],
      ["POST /reconnect", "requested", null],
      ["POST /reconnect", "done", null],
    ]);
    expect(entries.every((e) => e["who"] === "demo-admin")).toBe(true);
    expect(entries.find((e) => e["command_id"] === again)?.["about"]).toEqual(["unit:M1"]);
  });

  test("of a unit's positions one an hour is written, for each who sends them", async () => {
    const bridge = await functionsOnly();
    const at = (unit: string, latitude: number, token: string) =>
      bridge.post("/units/location", { unit_id: unit, latitude, longitude: 1 }, bearer(token));
    for (let i = 0; i < 10; i += 1)
      for (const unit of ["A", "B"]) expect((await at(unit, i, tokens.crew)).status).toBe(202);
    await at("A", 1, tokens.admin);
    expect((await trail(bridge)).map((e) => [e["who"], e["about"]])).toEqual([
      ["demo-crew", ["unit:A"]],
      ["demo-crew", ["unit:B"]],
      ["demo-admin", ["unit:A"]],
    ]);
  });

  test("it is read by administrators alone, in pages, by who, action, outcome and time; and reading it is noted", async () => {
    const bridge = await functionsOnly();
    for (let i = 0; i < 7; i += 1)
      await bridge.post("/units/status", STATUS, bearer(i % 2 ? tokens.crew : tokens.admin));
    await bridge.get("/status", bearer(tokens.crew));
    const all = await trail(bridge);
    expect(all).toHaveLength(8);
    const seen: Entry[] = [];
    for (let cursor = ""; ;) {
      const { body } = await bridge.get(`/audit?limit=3&action=${encodeURIComponent("POST /units/status")}${cursor}`);
      seen.push(...(body["entries"] as Entry[]));
      if (body["next"] === null) break;
      cursor = `&cursor=${body["next"] as string}`;
    }
    expect(seen.map((e) => e.id)).toEqual(
      all
        .slice(0, 7)
        .map((e) => e.id)
        .toReversed(),
    );
    expect((await bridge.get("/audit?who=demo-crew")).body["entries"]).toHaveLength(4);
    expect((await bridge.get("/audit?who=demo-crew&outcome=forbidden")).body["entries"]).toHaveLength(1);
    expect((await bridge.get(`/audit?outcome=accepted&until=${all[2]?.at}`)).body["entries"]).not.toHaveLength(0);
    expect((await bridge.get("/audit?since=2100-01-01T00:00:00Z")).body["entries"]).toHaveLength(0);
    const readings = encodeURIComponent("GET /audit");
    expect(((await bridge.get(`/audit?action=${readings}`)).body["entries"] as Entry[]).length).toBeGreaterThan(5);
    expect((await bridge.get("/audit", bearer(tokens.dispatcher))).status).toBe(403);
    expect((await bridge.get("/audit", { Authorization: "" })).status).toBe(401);
    const bad = await bridge.get("/audit?limit=0&cursor=x&outcome=y&color=red");
    expect((bad.body["errors"] as { pointer: string }[]).map((e) => e.pointer).toSorted()).toEqual([
      "/color",
      "/cursor",
      "/limit",
      "/outcome",
    ]);
  });

  test("while Redis is away a refusal stays a refusal, and no administrator's action is done without its entry", async () => {
    const dir = mkdtempSync(join(tmpdir(), "socket-bridge-audit-"));
    const redis = await startRedis({ dir });
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const bridge = await startBridge({ worker: false, redisUrl: redis.url });
    await redis.stop();
    expect((await bridge.get("/status", bearer("x"))).status).toBe(401);
    expect((await bridge.get("/status", bearer(tokens.crew))).status).toBe(403);
    expect(await bridge.post("/reconnect", {})).toMatchObject({ status: 503, body: { code: "redis-unavailable" } });
  });
});

const audit = (bridge: Bridge, args: string[], env: Record<string, string | undefined> = {}) =>
  runScript("tools/audit/audit.ts", args, { REDIS_URL: inject("redisUrl"), REDIS_PREFIX: bridge.prefix, ...env }).ended;

describe.runIf(inject("host") === "node")("npm run audit", () => {
  test("verify and export: the worker chains what the functions note, and one entry that was touched is named", async () => {
    const bridge = await startBridge({ cad: { character: "modern" }, worker: { AUDIT_KEY } });
    const redis = testRedis();
    for (let i = 0; i < 30; i += 1) await bridge.post("/units/status", STATUS);
    const entries = `{${bridge.prefix}}:cad:audit`;
    // The worker's own entry: from here on there is a key.
    await until("all are chained", async () => (await redis.hget(`${entries}:head`, "count")) === "31");
    const whole = await audit(bridge, ["verify"], { AUDIT_KEY });
    expect(whole.output).toMatch(/ok {3}31 entries .* chained by hmac-[^]*--seen \d+-\d+:[\w-]{43}/);
    expect(whole.code).toBe(0);
    const [, seen = ""] = /--seen (\S+)/.exec(whole.output) ?? [];
    expect((await audit(bridge, ["verify", "--seen", seen], { AUDIT_KEY })).code).toBe(0);
    expect((await audit(bridge, ["verify"])).output).toMatch(/needs the key hmac-/);

    const { output, code } = await audit(bridge, ["export", "--since", "2020-01-01T00:00:00Z"], { AUDIT_KEY });
    expect(code).toBe(0);
    const lines = output.trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { n: number }).n)).toEqual(
      Array.from({ length: 31 }, (_, i) => i + 1),
    );
    const dir = mkdtempSync(join(tmpdir(), "socket-bridge-export-"));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const file = join(dir, "audit.jsonl");
    writeFileSync(file, output);
    expect(await audit(bridge, ["verify", "--file", file], { AUDIT_KEY, REDIS_URL: undefined })).toMatchObject({
      code: 0,
    });
    writeFileSync(file, output.replace('"demo-admin"', '"demo-crew"'));
    expect(await audit(bridge, ["verify", "--file", file], { AUDIT_KEY })).toMatchObject({
      code: 1,
      output: expect.stringMatching(/^BAD {2}\d+-\d+ {2}was changed/m),
    });

    const cut = runScript("tools/audit/audit.ts", ["export"], {
      REDIS_URL: inject("redisUrl"),
      REDIS_PREFIX: bridge.prefix,
    });
    cut.child.stdout?.destroy();
    expect(await cut.ended, "a reader that has enough").toMatchObject({ code: 0, output: "" });

    const { id } = JSON.parse(lines[12] ?? "") as { id: string };
    await redis.xdel(entries, id);
    expect(await audit(bridge, ["verify"], { AUDIT_KEY })).toMatchObject({
      code: 1,
      output: expect.stringContaining(`BAD  ${id}  was removed`),
    });
  });

  test("a chain that cannot go on is told by /health until it can, and commands go on", async () => {
    const bridge = await startBridge({ cad: { character: "modern" }, worker: { AUDIT_KEY } });
    const redis = testRedis();
    const head = `{${bridge.prefix}}:cad:audit:head`;
    await until("it is chained", async () => (await redis.hget(head, "count")) !== null);
    const seal = (await redis.hget(head, "seal")) ?? "";
    await redis.hset(head, "seal", "forged");
    const health = async () => (await bridge.get("/health")).body;
    await until("the health says so", async () => (await health())["status"] === "degraded");
    expect((await health())["problems"]).toEqual([
      expect.objectContaining({
        code: "audit-chain-broken",
        message: expect.stringContaining("the chain's head was not set by a worker with AUDIT_KEY") as string,
      }),
    ]);
    expect((await bridge.deliver("/units/status", STATUS)).status).toBe("confirmed");
    await redis.hset(head, "seal", seal);
    await until("it is chained on", async () => (await health())["status"] === "healthy", 15_000);
  });

  test("prints its help, and refuses wrong arguments with a hint", { timeout: 60_000 }, async () => {
    const bridge = await functionsOnly();
    const help = await audit(bridge, ["--help"]);
    expect(help).toMatchObject({
      code: 0,
      output: expect.stringMatching(/verify[^]*export[^]*REDIS_URL[^]*AUDIT_KEY/),
    });
    const wrong = [
      [],
      ["x"],
      ["verify", "--since", "2020-01-01T00:00:00Z"],
      ["export", "--since", "yesterday"],
      ["verify", "--seen", "x"],
      ["export", "--x"],
    ];
    const refused = await Promise.all(wrong.map((args) => audit(bridge, args)));
    for (const [i, answer] of refused.entries())
      expect(answer, wrong[i]?.join(" ")).toMatchObject({ code: 2, output: expect.stringContaining("--help") });
    expect((await audit(bridge, ["verify"], { REDIS_URL: undefined })).code).toBe(78);
    const away = await audit(bridge, ["verify"], { REDIS_URL: "redis://user:canary@127.0.0.1:9" });
    expect(away).toMatchObject({
      code: 1,
      output: expect.stringMatching(/Redis does not answer at .*fix REDIS_URL/),
    });
    expect(away.output).not.toContain("canary");
    expect(await audit(bridge, ["verify"])).toMatchObject({ code: 0, output: expect.stringContaining("0 entries") });
  });
});
