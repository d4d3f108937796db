import { expect, inject, test } from "vitest";
import { type Asked, type Bridge, startBridge, tokens } from "../support/bridge.ts";

const STATUS = { unit_id: "M1", status: "enroute" };
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const withLimits = (functions: Record<string, string>) =>
  startBridge({ worker: false, functions: { RATE_LIMIT_WINDOW_S: "60", ...functions } });
const many = async (count: number, ask: () => Promise<Asked>): Promise<Asked[]> => {
  const answers: Asked[] = [];
  for (let i = 0; i < count; i += 1) answers.push(await ask());
  return answers;
};
const sorted = (numbers: number[]) => numbers.toSorted((a, b) => a - b);
const statuses = (answers: readonly Asked[]) => answers.map((answer) => answer.status);
const unsettled = async (bridge: Bridge) =>
  ((await bridge.get("/status")).body["backlog"] as { unsettled: number }).unsettled;

const from = (bridge: Bridge, address: string) => bridge.get("/openapi.json", { "X-Forwarded-For": address });

function expectRefused(answer: Asked | undefined, policy: string): void {
  expect(answer).toMatchObject({ status: 429, body: { code: "too-many-requests", policy } });
  expect(answer?.headers.get("Content-Type")).toBe("application/problem+json");
  const seconds = Number(answer?.headers.get("Retry-After"));
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThanOrEqual(60);
  expect(answer?.headers.get("RateLimit")).toBe(`"${policy}";r=0;t=${seconds}`);
}

test("a subject may ask as often as RATE_LIMIT_TOKEN says, and every answer says what is left", async () => {
  const bridge = await withLimits({ RATE_LIMIT_TOKEN: "5" });
  const answers = await many(6, () => bridge.post("/units/status", STATUS, bearer(tokens.crew)));
  expect(statuses(answers)).toEqual([202, 202, 202, 202, 202, 429]);
  expect(answers.map((a) => a.headers.get("RateLimit-Policy"))).toEqual(Array(6).fill('"token";q=5;w=60'));
  expect(answers.map((a) => /r=(\d+)/.exec(a.headers.get("RateLimit") ?? "")?.[1])).toEqual([
    "4",
    "3",
    "2",
    "1",
    "0",
    "0",
  ]);
  expectRefused(answers.at(-1), "token");
  expect((await bridge.post("/units/status", STATUS, bearer(tokens.dispatcher))).status).toBe(202);
  expect(await unsettled(bridge)).toBe(6);
});

test("a subject may send as many bytes as RATE_LIMIT_TOKEN_BYTES says, and its positions as many again", async () => {
  const bridge = await withLimits({ RATE_LIMIT_TOKEN_BYTES: "100" });
  // 36 bytes each.
  const answers = await many(4, () => bridge.post("/units/status", STATUS, bearer(tokens.crew)));
  expect(statuses(answers)).toEqual([202, 202, 429, 429]);
  expect(answers.at(-1)?.body).toMatchObject({ code: "too-many-requests", policy: "token-bytes" });
  expect(answers.at(-1)?.headers.get("RateLimit-Policy")).toBe('"token-bytes";q=100;qu="content-bytes";w=60');
  expect(Number(answers.at(-1)?.headers.get("Retry-After"))).toBeGreaterThan(0);
  const position = { unit_id: "M1", latitude: 1, longitude: 1 };
  expect((await bridge.post("/units/location", position, bearer(tokens.crew))).status).toBe(202);
  expect((await bridge.post("/units/status", STATUS, bearer(tokens.dispatcher))).status).toBe(202);
});

test("an address may ask as often as RATE_LIMIT_ADDRESS says, whoever asks and for what", async () => {
  const bridge = await withLimits({ RATE_LIMIT_ADDRESS: "6", RATE_LIMIT_TOKEN: "0" });
  const answers = [
    ...(await many(2, () => bridge.get("/openapi.json"))),
    ...(await many(2, () => bridge.get("/nothing"))),
    ...(await many(2, () => bridge.post("/units/status", STATUS))),
    ...(await many(2, () => bridge.post("/units/status", STATUS, bearer(tokens.crew)))),
  ];
  expect(statuses(answers)).toEqual([200, 200, 404, 404, 202, 202, 429, 429]);
  expectRefused(answers.at(-1), "address");
});

test("an address without a valid token is refused much sooner; whoever shows a good one from there goes on", async () => {
  const bridge = await withLimits({ RATE_LIMIT_UNAUTHENTICATED: "3" });
  const answers = await many(5, () => bridge.get("/status", bearer("x")));
  expect(statuses(answers)).toEqual([401, 401, 401, 429, 429]);
  expectRefused(answers.at(-1), "unauthenticated");
  expect((await bridge.get("/status")).status).toBe(200);
  const entries = (await bridge.get("/audit")).body["entries"] as { outcome: string; action: string }[];
  expect(
    entries
      .map((e) => [e.outcome, e.action])
      .toReversed()
      .slice(0, 2),
  ).toEqual([
    ["unauthenticated", "GET /status"],
    ["too-many-requests", "GET /status"],
  ]);
});

test("a limit of 0 is none", async () => {
  const bridge = await withLimits({ RATE_LIMIT_TOKEN: "0", RATE_LIMIT_ADDRESS: "0", RATE_LIMIT_UNAUTHENTICATED: "0" });
  const answers = await many(30, () => bridge.post("/units/status", STATUS));
  expect(new Set(statuses(answers))).toEqual(new Set([202]));
  expect(answers[0]?.headers.has("RateLimit")).toBe(false);
  expect(new Set(statuses(await many(30, () => bridge.get("/status", bearer("x")))))).toEqual(new Set([401]));
});

test("what waits of one subject and of one unit is bounded; a dispatcher is served all the same", async () => {
  const bridge = await startBridge({
    worker: false,
    functions: { MAX_WAITING_PER_SUBJECT: "6", MAX_WAITING_PER_KEY: "5", BACKLOG_RESERVE_PERCENT: "20" },
  });
  const send = (unit: string, token: string) =>
    bridge.post("/units/status", { ...STATUS, unit_id: unit }, bearer(token));
  const ofUnit = await many(5, () => send("M1", tokens.crew));
  expect(statuses(ofUnit)).toEqual([202, 202, 202, 202, 429]);
  expect(ofUnit.at(-1)?.body).toMatchObject({ code: "too-much-waiting", bound: "key" });
  expect(ofUnit.at(-1)?.headers.get("Retry-After")).toBe("2");
  const ofSubject = await many(3, () => send("M2", tokens.crew));
  expect(statuses(ofSubject)).toEqual([202, 202, 429]);
  expect(ofSubject.at(-1)?.body).toMatchObject({ code: "too-much-waiting", bound: "subject" });
  expect(statuses([await send("M1", tokens.dispatcher), await send("M2", tokens.dispatcher)])).toEqual([202, 202]);
  expect(await unsettled(bridge)).toBe(8);
});

test("a flood of one unit's positions is taken, not refused, and waits as one", async () => {
  const bridge = await startBridge({ worker: false });
  const at = (n: number) => bridge.post("/units/location", { unit_id: "M1", latitude: n / 100, longitude: 1 });
  const flood = inject("host") === "node" ? 2000 : 400;
  for (let n = 0; n < flood; n += 50) {
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => at(n + i)));
    expect(new Set(statuses(answers))).toEqual(new Set([202]));
  }
  // One that could be on its way, and the newest behind it.
  expect(await unsettled(bridge)).toBe(2);
});

test("positions count by themselves: whoever floods them has nothing else refused", async () => {
  const bridge = await withLimits({ RATE_LIMIT_TOKEN: "10" });
  const positions = await many(12, () => bridge.post("/units/location", { unit_id: "M1", latitude: 1, longitude: 1 }));
  expect(statuses(positions)).toEqual([...Array<number>(10).fill(202), 429, 429]);
  expectRefused(positions.at(-1), "latest-wins");
  expect((await bridge.post("/units/status", STATUS)).status).toBe(202);
});

test.runIf(inject("host") === "node")("behind a proxy of TRUST_PROXY each client has its own limit", async () => {
  const limits = { RATE_LIMIT_ADDRESS: "2", RATE_LIMIT_TOKEN: "0" };
  const behind = await withLimits({ ...limits, TRUST_PROXY: "127.0.0.0/8" });
  expect(statuses(await many(3, () => from(behind, "192.0.2.1")))).toEqual([200, 200, 429]);
  expect((await from(behind, "192.0.2.2")).status).toBe(200);
  // An IPv6 client has a whole network of addresses.
  const addresses = ["2001:db8::1", "2001:db8::2", "2001:db8::3"];
  expect(sorted(statuses(await Promise.all(addresses.map((address) => from(behind, address)))))).toEqual([
    200, 200, 429,
  ]);
  const bare = await withLimits(limits);
  expect(
    sorted(statuses(await Promise.all(["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((a) => from(bare, a))))),
  ).toEqual([200, 200, 429]);
});
