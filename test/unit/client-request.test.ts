import { describe, expect, test, vi } from "vitest";
import { createSocketBridge, SocketBridgeError } from "../../client/client.ts";
import { errorOf, retryAfterMs } from "../../client/errors.ts";
import type { Fetch } from "../../client/request.ts";
import { backoffMs, isRepeatable, pauseBefore } from "../../client/retry.ts";

const problem = (status: number, code: string, headers: Record<string, string> = {}, more: object = {}) =>
  new Response(JSON.stringify({ type: "t", title: "T", status, code, detail: "D", hint: "H", ...more }), {
    status,
    headers: { "Content-Type": "application/problem+json", ...headers },
  });
const accepted = () =>
  Response.json({ success: true, message: "m", command_id: "c1", status: "queued" }, { status: 202 });
const final = () =>
  Response.json({ success: true, message: "m", command_id: "c1", status: "confirmed", final: true, proof: "echoed" });
const body = { unit_id: "M12", status: "available" };

/** A client whose requests are answered by these, the last one for ever; and what was asked. */
function clientOf(answers: (() => Response | Promise<Response>)[], options: object = {}) {
  const asked: { url: string; init: RequestInit; headers: Record<string, string> }[] = [];
  const fetch: Fetch = async (url, init) => {
    asked.push({ url, init, headers: init.headers as Record<string, string> });
    return await (answers[Math.min(asked.length, answers.length) - 1] ?? accepted)();
  };
  const client = createSocketBridge({ url: "http://bridge/api/", token: "t", fetch, random: () => 0, ...options });
  return { client, asked };
}
const failure = (promise: Promise<unknown>): Promise<SocketBridgeError> =>
  promise.then(
    () => expect.unreachable("it succeeded"),
    (error: unknown) => (error instanceof SocketBridgeError ? error : expect.unreachable(String(error))),
  );
const lost = () => Promise.reject(new TypeError("fetch failed"));

describe("retries", () => {
  test.each([
    ["a broken connection", lost],
    ["a bridge without Redis", () => problem(503, "redis-unavailable")],
    ["an internal error", () => problem(500, "internal")],
    ["too many requests", () => problem(429, "too-many-requests", { "Retry-After": "0" })],
    ["a proxy that cannot reach it", () => new Response("<html>", { status: 502 })],
  ])("repeats a command after %s, byte for byte and under one Idempotency-Key", async (_what, answer) => {
    const { client, asked } = clientOf([answer, accepted]);
    const result = await client.updateUnitStatus(body);
    expect(asked).toHaveLength(2);
    expect(asked[0]?.headers["Idempotency-Key"]).toBe(result.idempotencyKey);
    expect(asked[1]).toEqual({ ...asked[0], init: { ...asked[0]?.init, signal: expect.any(AbortSignal) } });
    expect(asked[0]?.url).toBe("http://bridge/api/units/status");
  });

  test.each([
    [422, "invalid-body"],
    [401, "unauthenticated"],
    [403, "outside-units"],
    [409, "unreadable-payload"],
    [413, "too-large"],
    [500, "forged-record"],
    [502, "undeliverable"],
  ])("does not repeat what is answered %i %s", async (status, code) => {
    const { client, asked } = clientOf([() => problem(status, code)]);
    const error = await failure(client.updateUnitStatus(body));
    expect(error).toMatchObject({ code, status, hint: "H", message: "D", attempts: 1, mayBeAccepted: false });
    expect(asked).toHaveLength(1);
  });

  test("waits for Retry-After, and gives up at once if that is past the deadline", async () => {
    const { client, asked } = clientOf([() => problem(503, "redis-full", { "Retry-After": "100" })]);
    const error = await failure(client.updateUnitStatus(body));
    expect(error).toMatchObject({ code: "redis-full", retryAfterMs: 100_000, attempts: 1 });
    expect(error.idempotencyKey).toBe(asked[0]?.headers["Idempotency-Key"]);
  });

  test("gives up at its deadline, and reports that the command may have been accepted", async () => {
    const { client, asked } = clientOf([lost]);
    const error = await failure(client.updateUnitStatus(body, { deadlineMs: 500 }));
    expect(error).toMatchObject({ code: "network", mayBeAccepted: true, attempts: asked.length });
    expect(asked.length).toBeGreaterThan(1);
  });

  test("does not hang on an answer that never comes, even if fetch ignores its signal", async () => {
    const { client } = clientOf([() => new Promise<Response>(() => undefined)], { timeoutMs: 20, deadlineMs: 30 });
    expect(await failure(client.updateUnitStatus(body))).toMatchObject({ code: "timeout", mayBeAccepted: true });
  });

  test("ends with the caller's signal", async () => {
    const { client } = clientOf([lost]);
    const leaving = new AbortController();
    const sent = failure(client.updateUnitStatus(body, { signal: leaving.signal }));
    leaving.abort();
    expect(await sent).toMatchObject({ code: "aborted" });
  });

  test("asks for a token before each attempt, and reports one that cannot be had", async () => {
    const token = vi.fn<() => string>().mockReturnValueOnce("first").mockReturnValueOnce("second");
    const { client, asked } = clientOf([lost, accepted], { token });
    await client.updateUnitStatus(body);
    expect(asked.map(({ headers }) => headers["Authorization"])).toEqual(["Bearer first", "Bearer second"]);

    const { client: without } = clientOf([accepted], { token: () => Promise.reject(new Error("no")), deadlineMs: 10 });
    expect(await failure(without.updateUnitStatus(body))).toMatchObject({ code: "token-unavailable" });
  });
});

test("waits on under the same key while the state is not final and there is time", async () => {
  const { client, asked } = clientOf([accepted, final]);
  const result = await client.updateUnitStatus(body, { wait: 45, ttlSeconds: 60 });
  expect(result).toMatchObject({ status: "confirmed", receipt: { command_id: "c1", proof: "echoed" } });
  expect(asked.map(({ headers }) => headers["Prefer"])).toEqual(["wait=30", "wait=30"]);
  expect(new Set(asked.map(({ headers }) => headers["Idempotency-Key"])).size).toBe(1);
  expect(asked[0]?.headers["Command-TTL"]).toBe("60");
});

test("an unhealthy bridge is an answer, a proxy's 503 is none", async () => {
  const health = { status: "unhealthy", problems: [], bridge: {} };
  const { client } = clientOf([() => Response.json(health, { status: 503 })]);
  expect(await client.getHealthStatus()).toEqual(health);
  const { client: behind } = clientOf([() => new Response("down", { status: 503 })], { deadlineMs: 10 });
  expect(await failure(behind.getHealthStatus())).toMatchObject({ code: "unexpected-response", status: 503 });
});

test("an answer that is too long is refused before it is in memory", async () => {
  const endless = new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(1024 * 1024)) });
  const { client } = clientOf([() => new Response(endless)]);
  expect(await failure(client.getCommand("c1"))).toMatchObject({ code: "unexpected-response" });
});

test("backs off within its bounds", () => {
  expect([1, 2, 3, 10, 1000].map((n) => backoffMs(n, () => 0))).toEqual([125, 250, 500, 2500, 2500]);
  expect([1, 10].map((n) => backoffMs(n, () => 1))).toEqual([250, 5000]);
  const busy = errorOf(503, new Headers({ "Retry-After": "2" }), undefined);
  expect(isRepeatable(busy)).toBe(true);
  expect(pauseBefore(busy, 1, 10_000, () => 0)).toBe(2000);
  expect(pauseBefore(busy, 1, 1999, () => 0)).toBeUndefined();
});

test.each([
  ["7", 7000],
  ["Thu, 01 Jan 1970 00:00:10 GMT", 9000],
  ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
  ["soon", undefined],
  [null, undefined],
])("reads Retry-After %s", (header, ms) => expect(retryAfterMs(header, 1000)).toBe(ms));
