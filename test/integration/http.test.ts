import { Validator } from "@seriousme/openapi-schema-validator";
import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { commands } from "../../shared/commands/table.ts";
import { type Asked, type Bridge, JWT_SECRET, startBridge, tokens } from "../support/bridge.ts";
import { appRoutes } from "../support/routes.ts";

const STATUS = { unit_id: "M1", status: "enroute" };
const wait = (seconds: number) => ({ Prefer: `respond-async, wait=${seconds}` });
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

function expectProblem(answer: Asked, status: number, code: string): void {
  expect(answer.body).toMatchObject({ type: `urn:problem-type:socket-bridge:${code}`, code, status });
  expect(answer.status).toBe(status);
  expect(answer.headers.get("Content-Type")).toBe("application/problem+json");
  expect(JSON.stringify(answer.body)).not.toMatch(/node_modules|\.ts:|ioredis/);
}

const sign = async (claims: Record<string, unknown>) =>
  bearer(
    await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("1h")
      .sign(new TextEncoder().encode(JWT_SECRET)),
  );

/** The functions alone: accepting needs no worker. */
const functionsOnly = () => startBridge({ worker: false });
const unsettled = async (bridge: Bridge) =>
  ((await bridge.get("/status")).body["backlog"] as { unsettled: number }).unsettled;

/** What a path is refused that takes other methods. */
const METHODS = [
  ["PUT", "/incidents", "GET, HEAD, POST"],
  ["POST", "/units", "GET, HEAD"],
  ["POST", "/units/M1", "GET, HEAD"],
  ["DELETE", "/units/location", "GET, HEAD, POST"],
  ["PUT", "/incidents/timestamp", "GET, HEAD, POST"],
  ["POST", "/events/history", "GET, HEAD"],
  ["DELETE", "/events/1-1", "GET, HEAD"],
] as const;

describe("authentication and authorization", () => {
  test("roles may come as a list, and one that the bridge does not know opens nothing", async () => {
    const bridge = await functionsOnly();
    expect((await bridge.post("/units/status", STATUS, await sign({ sub: "u", roles: ["x", "crew"] }))).status).toBe(
      202,
    );
    expectProblem(
      await bridge.post("/units/status", STATUS, await sign({ sub: "u", role: "Admin" })),
      403,
      "forbidden",
    );
    expectProblem(await bridge.post("/units/status", STATUS, await sign({ sub: "u" })), 403, "forbidden");
  });
});

describe("invalid requests", () => {
  test("bad requests get a clear problem each, and change nothing", async () => {
    const bridge = await functionsOnly();
    const post = (body: unknown, headers: Record<string, string> = {}) => bridge.post("/units/status", body, headers);
    expectProblem(await post("{"), 400, "not-json");
    expectProblem(await post(""), 400, "not-json");
    expectProblem(await post(STATUS, { "Content-Type": "text/plain" }), 415, "not-json-type");
    expectProblem(await post({ ...STATUS, x: "x".repeat(256 * 1024) }), 413, "too-large");
    expectProblem(await post([]), 422, "invalid-body");
    expectProblem(await post(null), 422, "invalid-body");
    expectProblem(await post(STATUS, { "Idempotency-Key": "x".repeat(256) }), 400, "invalid-header");
    expectProblem(await post(STATUS, { "Idempotency-Key": "" }), 400, "invalid-header");
    for (const ttl of ["0", "-1", "1.5", "x", "99999999"])
      expectProblem(await post(STATUS, { "Command-TTL": ttl }), 400, "invalid-header");
    expectProblem(await bridge.post("/nothing", {}), 404, "not-found");
    const unknown = await bridge.get("/commands/nothing");
    expectProblem(unknown, 404, "not-found");
    expect(unknown.body["detail"]).toContain('"nothing"');
    // A unit may be named "status".
    expectProblem(await bridge.get("/units/status"), 404, "not-found");
    const wrongMethod = await fetch(`${bridge.url}/units/status`, { method: "DELETE" });
    expect([wrongMethod.status, wrongMethod.headers.get("Allow")]).toEqual([405, "GET, HEAD, POST"]);
    expectProblem(await bridge.post("/health", {}), 405, "method-not-allowed");
    for (const [method, path, allow] of METHODS) {
      const refused = await fetch(`${bridge.url}${path}`, { method });
      expect([refused.status, refused.headers.get("Allow")], `${method} ${path}`).toEqual([405, allow]);
    }
    expect(await unsettled(bridge)).toBe(0);
  });

  test("a body that is too large is answered, however large it is and however it comes", async () => {
    const bridge = await functionsOnly();
    const headers = { Authorization: `Bearer ${tokens.crew}`, "Content-Type": "application/json" };
    for (const size of [256 * 1024 + 1, 2_000_000, 7_000_000]) {
      const answer = await bridge.post("/units/status", "x".repeat(size));
      expectProblem(answer, 413, "too-large");
    }
    const chunked = new Blob(["x".repeat(300_000)]).stream();
    const init = { method: "POST", headers, body: chunked, duplex: "half" } as const;
    expect((await fetch(`${bridge.url}/units/status`, init)).status).toBe(413);
    expect((await bridge.post("/units/status", STATUS)).status).toBe(202);
  });

  test("every wrong field is named by its JSON pointer", async () => {
    const bridge = await functionsOnly();
    const answer = await bridge.post("/assignments/send", {
      incident_id: " INC",
      incident_type: "",
      address: 7,
      priority: 6,
      location: { lat: 91, lng: -122 },
      "a/b~c": 1,
    });
    expectProblem(answer, 422, "invalid-body");
    const errors = answer.body["errors"] as { pointer: string; detail: string }[];
    expect(new Set(errors.map((e) => e.pointer))).toEqual(
      new Set(["/a~1b~0c", "/address", "/incident_id", "/incident_type", "/location/lat", "/priority", "/unit_id"]),
    );
    for (const { detail } of errors) expect(detail.length).toBeGreaterThan(5);
  });

  test.each([
    ["units/location", { unit_id: "M1", latitude: 91, longitude: 0 }, "/latitude"],
    ["units/location", { unit_id: "M1", latitude: 0, longitude: 0, heading: 361 }, "/heading"],
    ["units/location", { unit_id: "M1", latitude: 0, longitude: 0, speed: -1 }, "/speed"],
    ["units/status", { unit_id: "M1", status: "lunch" }, "/status"],
    ["incidents/status", { incident_id: "I", status: "lunch", user_id: "u" }, "/status"],
    ["incidents/timestamp", { incident_id: "I", field: "id; drop", timestamp: "2026-01-01T00:00:00Z" }, "/field"],
    ["incidents/timestamp", { incident_id: "I", field: "onscene_at", timestamp: "2026-01-01T00:00:00" }, "/timestamp"],
    ["incidents/timestamp", { incident_id: "I", field: "onscene_at", timestamp: "2199-01-01T00:00:00Z" }, "/timestamp"],
    ["rooms/join", { room: "station:1" }, "/room"],
    ["rooms/join", { room: "unit:" }, "/room"],
    ["metrics/broadcast", { metrics: [] }, "/metrics"],
  ])("%s refuses %j at %s", async (name, body, pointer) => {
    const bridge = await functionsOnly();
    const answer = await bridge.post(`/${name}`, body);
    expectProblem(answer, 422, "invalid-body");
    expect(answer.body["errors"]).toMatchObject([{ pointer }]);
  });

  test("a timestamp up to an hour ahead is taken, for clocks that go wrong", async () => {
    const bridge = await functionsOnly();
    const timestamp = new Date(Date.now() + 3_500_000).toISOString();
    expect(
      (await bridge.post("/incidents/timestamp", { incident_id: "I", field: "onscene_at", timestamp })).status,
    ).toBe(202);
  });

  test("a time without an offset is refused with a hint, and taken as UTC with NAIVE_TIMES=utc", async () => {
    const body = { incident_id: 7, field: "onscene_at", timestamp: "2026-01-31T14:05:00.123456" };
    const strict = await functionsOnly();
    const refused = await strict.post("/incidents/timestamp", body);
    expectProblem(refused, 422, "invalid-body");
    expect(refused.body["errors"]).toEqual([
      { pointer: "/timestamp", detail: expect.stringContaining("NAIVE_TIMES=utc") },
    ]);
    expect(await unsettled(strict)).toBe(0);

    const lenient = await startBridge({ cad: { character: "modern" }, functions: { NAIVE_TIMES: "utc" } });
    expect(await lenient.deliver("/incidents/timestamp", body)).toMatchObject({ status: "confirmed" });
    const entry = lenient.cad.ledger.entries().find((e) => e.event === "incident:timestamp");
    expect(entry?.payload).toMatchObject({ incidentId: "7", timestamp: "2026-01-31T14:05:00.123456Z" });
  });

  test("beyond MAX_BACKLOG it answers 503 with Retry-After, and what it has stays", async () => {
    const bridge = await startBridge({ worker: false, functions: { MAX_BACKLOG: "2" } });
    for (let i = 0; i < 2; i += 1) await bridge.post("/units/status", STATUS);
    const answer = await bridge.post("/units/status", STATUS);
    expectProblem(answer, 503, "redis-full");
    expect(answer.headers.get("Retry-After")).toMatch(/^\d+$/);
    expect(await unsettled(bridge)).toBe(2);
    expect((await bridge.get("/health")).body["problems"]).toContainEqual(
      expect.objectContaining({ code: "backlog-full", count: 2 }),
    );
  });
});

describe("what a request does not take", () => {
  test.each([
    ["POST", "/units/status?dry_run=true", STATUS],
    ["POST", "/dead-letters/redrive?dry_run=true", {}],
    ["POST", "/dead-letters/x/redrive?dry_run=true", {}],
    ["POST", "/reconnect?dry_run=true", {}],
    ["GET", "/queues?x=1", undefined],
    ["GET", "/history?x=1", undefined],
  ])("%s %s is refused, and names the parameter", async (method, path, body) => {
    const bridge = await functionsOnly();
    const { status, body: problem } = method === "GET" ? await bridge.get(path) : await bridge.post(path, body);
    expect([status, problem["code"]]).toEqual([422, "invalid-query"]);
    expect(problem["errors"]).toMatchObject([{ pointer: /\?(\w+)/.exec(path)?.[1]?.replace(/^/, "/") }]);
  });

  test("a body is refused where none is taken, unless it is empty", async () => {
    const bridge = await functionsOnly();
    const refused = await bridge.post("/dead-letters/x/redrive", { dry_run: true });
    expect(refused).toMatchObject({ status: 422, body: { code: "invalid-body", errors: [{ pointer: "/dry_run" }] } });
    for (const empty of [{}, null]) expect((await bridge.post("/dead-letters/x/redrive", empty)).status).toBe(404);
  });
});

describe("Idempotency-Key", () => {
  const key = { "Idempotency-Key": "a key, with spaces" };

  test("the same key and body again is the same command, and nothing is sent twice", async () => {
    const bridge = await startBridge({ cad: { character: "modern" } });
    const first = await bridge.post("/units/status", STATUS, key);
    const again = await bridge.post("/units/status", STATUS, key);
    expect(first.headers.get("Idempotency-Replayed")).toBeNull();
    expect(again.headers.get("Idempotency-Replayed")).toBe("true");
    expect(again.body["command_id"]).toBe(first.body["command_id"]);
    await bridge.settled(first.body["command_id"]);
    const late = await bridge.post("/units/status", STATUS, key);
    expect(late).toMatchObject({ status: 202, body: { command_id: first.body["command_id"], status: "confirmed" } });
    expect(bridge.cad.ledger.summary().byEvent["unit:status"]).toBe(1);
  });

  test("forms of one body that mean the same are the same command", async () => {
    const bridge = await functionsOnly();
    const post = (body: object) => bridge.post("/incidents", { incident_type: "Fall", ...body }, key);
    const first = await post({ incident_id: 7, priority: "ROUTINE", address: null });
    expect(first).toMatchObject({ status: 202, body: { incident_id: "7" } });
    const again = await post({ priority: 3, incident_id: "7", details: null, address: "" });
    expect(again.headers.get("Idempotency-Replayed")).toBe("true");
    expect(again.body["command_id"]).toBe(first.body["command_id"]);
    expectProblem(await post({ incident_id: 7, priority: 2 }), 422, "idempotency-conflict");
  });

  test("the same key with another body, command or TTL is refused", async () => {
    const bridge = await functionsOnly();
    await bridge.post("/units/status", STATUS, key);
    expectProblem(
      await bridge.post("/units/status", { ...STATUS, status: "onscene" }, key),
      422,
      "idempotency-conflict",
    );
    expectProblem(
      await bridge.post("/units/location", { unit_id: "M1", latitude: 1, longitude: 1 }, key),
      422,
      "idempotency-conflict",
    );
    expectProblem(
      await bridge.post("/units/status", STATUS, { ...key, "Command-TTL": "5" }),
      422,
      "idempotency-conflict",
    );
  });

  test("another user may use the same key", async () => {
    const bridge = await functionsOnly();
    const mine = await bridge.post("/units/status", STATUS, key);
    const theirs = await bridge.post("/units/status", STATUS, { ...key, ...bearer(tokens.crew) });
    expect(theirs.body["command_id"]).not.toBe(mine.body["command_id"]);
  });
});

describe("Prefer: wait", () => {
  test("the answer waits for the final state, and is 200 with it", async () => {
    const bridge = await startBridge({ cad: { character: "legacy", switches: { delayMs: { min: 50, max: 60 } } } });
    const answer = await bridge.post("/units/status", STATUS, wait(10));
    expect(answer).toMatchObject({
      status: 200,
      body: { success: true, status: "confirmed", confirmed_by: "echo", unit_id: "M1" },
    });
    expect(answer.headers.get("Preference-Applied")).toBe("wait=10");
  });

  test("it is 202 if the final state does not come in time", async () => {
    const bridge = await functionsOnly();
    const answer = await bridge.post("/units/status", STATUS, wait(1));
    expect(answer).toMatchObject({ status: 202, body: { status: "queued", success: true } });
  });

  test("a dead letter is answered with 502 and its reason", async () => {
    const bridge = await startBridge({ cad: { character: "modern", switches: { reject: 1 } } });
    const answer = await bridge.post("/units/status", STATUS, wait(10));
    expectProblem(answer, 502, "undeliverable");
    expect(answer.body).toMatchObject({
      receipt: { status: "rejected", final: true },
      detail: expect.stringMatching(/^the CAD said: /),
    });
    expect(answer.headers.get("Location")).toContain(String(answer.body["command_id"]));
  });

  test("an unconfirmed command is never reported as a success", async () => {
    const bridge = await startBridge({
      cad: { character: "legacy", switches: { dropEchoes: 1 } },
      worker: { CAD_CONFIRM_TIMEOUT_MS: "100" },
    });
    const incident = { incident_id: "1", incident_type: "Fall", address: "1 Main St", priority: 2 };
    const answer = await bridge.post("/incidents", incident, wait(10));
    expect(answer).toMatchObject({ status: 200, body: { success: false, status: "unconfirmed" } });
  });
});

describe("the API documents", () => {
  test("the OpenAPI document is valid and contains the whole command table", async () => {
    const bridge = await functionsOnly();
    const { body } = await bridge.get("/openapi.json", { Authorization: "" });
    const result = await new Validator().validate(structuredClone(body));
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
    const paths = body["paths"] as Record<
      string,
      Record<
        string,
        { responses: object; security?: unknown; requestBody?: { content: Record<string, { examples?: object }> } }
      >
    >;
    for (const command of commands) {
      const operation = paths[`/${command.name}`]?.["post"];
      expect(Object.keys(operation?.responses ?? {}), command.name).toEqual([
        "200",
        "202",
        "400",
        "401",
        "403",
        "413",
        "415",
        "422",
        "429",
        "500",
        "502",
        "503",
      ]);
      expect(Object.keys(operation?.requestBody?.content["application/json"]?.examples ?? {})).toHaveLength(
        command.examples.length,
      );
    }
    for (const { name, method, takes } of appRoutes().filter((route) => !/^GET \/(?:docs|admin)\//.test(route.name))) {
      const operation = paths[name.slice(method.length + 1)]?.[method.toLowerCase()];
      expect(operation, name).toBeDefined();
      expect(operation?.security, name).toEqual(takes === "public" ? [] : [{ bearer: [] }]);
      if (takes !== "public")
        expect(Object.keys(operation?.responses ?? {})).toEqual(expect.arrayContaining(["401", "403", "503"]));
    }
  });

  test("every example of the docs is accepted as it stands", async () => {
    const bridge = await functionsOnly();
    for (const command of commands) {
      for (const example of command.examples)
        expect((await bridge.post(`/${command.name}`, example.body)).status, command.name).toBe(202);
    }
  });

  test("the page and all that it loads come from the bridge itself", async () => {
    const bridge = await functionsOnly();
    const page = await bridge.get("/docs", { Authorization: "" });
    expect(page.status).toBe(200);
    const html = String(page.body["text"]);
    const loads = [...html.matchAll(/(?:src|href)="([^"]+)"/g)]
      .map((m) => m[1] ?? "")
      .filter((url) => url !== "data:,");
    expect(loads.length).toBeGreaterThan(3);
    for (const url of loads) {
      expect(url).toMatch(/^\/api\/socket-bridge\//);
      expect((await fetch(new URL(url, bridge.url))).status, url).toBe(200);
    }
  });
});
