import { expect, onTestFinished, test } from "vitest";
import type { CommandBacklog, LastHeartbeat } from "../../functions/backend/health-calls.ts";
import type { Backend } from "../../functions/backend/backend.ts";
import { assessHealth, FORGET_PROBLEMS_MS, lookAtHealth } from "../../functions/routes/health.ts";
import { createProblemTracker } from "../../shared/health/problem-tracker.ts";
import { NOTHING_SENT } from "../../shared/destinations/store.ts";
import { type Found, found, type Problem, type ProblemCode } from "../../shared/health/problems.ts";
import { HEARTBEAT_LIMIT_S, type WorkerHealth } from "../../shared/health/worker-health.ts";
import type { Backlog } from "../../shared/outbox/backlog.ts";
import { type Detected, detectProblems } from "../../worker/runtime/detect-problems.ts";
import { createHealthReport, startHealthServer } from "../../worker/runtime/health-server.ts";

const WORKER: WorkerHealth = {
  instance: "w",
  written_at: null,
  epoch: 1,
  stopped: false,
  ready: true,
  ready_seconds: 3600,
  confirm_seconds: 5,
  consuming: true,
  connected: true,
  authenticated: true,
  waiting_for: null,
  problems: [],
  cad_url: "http://cad",
  transport: null,
  last_connection: null,
  connection_attempts: 0,
  connection_attempts_total: 1,
  disconnected_since: null,
  connections: 1,
  last_error: null,
  event_handlers_registered: 8,
  uptime_seconds: 1,
  uptime_percent_24h: 99.5,
  uptime_percent_30d: 99.9,
  in_flight: 0,
  rooms: 0,
  events: {},
  recovery: { recovering: false, recovered: 0, gaps_24h: 0, last_gap: null },
  handlers: [],
  destinations: [],
};
const HANDLER: WorkerHealth["handlers"][number] = {
  handler: "to:board",
  what: "",
  cursor: "1-0",
  done: 0,
  failed: 0,
  skipped: 0,
  running: 0,
  reading_problem: null,
  last_error: null,
};
const DESTINATION: WorkerHealth["destinations"][number] = {
  id: "board",
  url: "",
  state: "ok",
  reason: null,
  since: null,
  until: null,
  in_flight: 0,
  ...NOTHING_SENT,
};
const NOW = Date.parse("2026-01-31T22:05:00Z") * 1000;
const EMPTY: Backlog = {
  now: NOW,
  unsettled: 0,
  unsettledBytes: 0,
  dead: 0,
  held: { count: 0, since: undefined, behind: 0 },
  oldestUnsettled: undefined,
  oldestRunnable: undefined,
  accepted: 0,
  counts: {},
  unaccounted: 0,
};
const ago = (seconds: number) => NOW - seconds * 1_000_000;
const iso = (secondsAgo: number) => new Date(ago(secondsAgo) / 1000).toISOString();
const beat = (more: Partial<WorkerHealth> = {}, ageSeconds = 1): LastHeartbeat => ({
  health: { ...WORKER, ...more },
  ageSeconds,
  owned: true,
});

const KEY = 'a payload is sealed with the key "old"';
const asProblem = (there: Found): Problem => ({ ...there, since: there.since ?? iso(300) });
const AWAY = asProblem(found("cad-disconnected", {}, { since: iso(240) }));

const assess = (last: LastHeartbeat | undefined, backlog: Partial<Backlog>) =>
  assessHealth(last, { ...EMPTY, ...backlog }, iso(0), createProblemTracker(() => NOW / 1000).follow);

test.each<[string, LastHeartbeat | undefined, Partial<CommandBacklog>, string, ProblemCode[]]>([
  ["a worker at work", beat(), {}, "healthy", []],
  ["a Redis that takes nothing more", beat(), { full: "redis" }, "unhealthy", ["redis-full"]],
  ["as many commands as may wait", beat(), { full: "backlog" }, "unhealthy", ["backlog-full"]],
  ["a command that was accepted and is gone", beat(), { unaccounted: 1 }, "degraded", ["commands-unaccounted"]],
  ["as many commands as crews may have waiting", beat(), { full: "crews" }, "degraded", ["backlog-reserved"]],
  [
    "a backlog that is being worked on",
    beat(),
    { unsettled: 9, oldestUnsettled: ago(600), oldestRunnable: ago(5) },
    "healthy",
    [],
  ],
  [
    "commands that wait for a CAD that is not ready",
    beat({ ready: false, problems: [AWAY] }),
    { oldestRunnable: ago(900) },
    "degraded",
    ["cad-disconnected"],
  ],
  [
    "a notice of the worker",
    beat({ problems: [asProblem(found("clock-skew", { whose: "the CAD", ms: 9000 }))] }),
    {},
    "healthy",
    ["clock-skew"],
  ],
  [
    "a command that nobody works on",
    beat(),
    { unsettled: 1, oldestRunnable: ago(36) },
    "unhealthy",
    ["commands-neglected"],
  ],
  [
    "a command whose confirmation may take a minute",
    beat({ confirm_seconds: 60 }),
    { unsettled: 1, oldestRunnable: ago(89) },
    "healthy",
    [],
  ],
  [
    "a CAD that is ready again after a long outage",
    beat({ ready_seconds: 33 }),
    { unsettled: 1, oldestRunnable: ago(900) },
    "healthy",
    [],
  ],
  [
    "a command that nobody works on since the CAD is ready again",
    beat({ ready_seconds: 35 }),
    { unsettled: 1, oldestRunnable: ago(900) },
    "unhealthy",
    ["commands-neglected"],
  ],
  ["a queue that hands out nothing", beat({ consuming: false }), {}, "unhealthy", ["worker-not-consuming"]],
  ["a heartbeat that stopped", beat({}, HEARTBEAT_LIMIT_S + 1), {}, "unhealthy", ["worker-silent"]],
  [
    "a worker that stopped while its CAD was away",
    beat({ stopped: true, ready: false, problems: [AWAY] }),
    {},
    "unhealthy",
    ["worker-stopped"],
  ],
  [
    "a worker that was killed, and whose lease lapsed",
    { ...beat({}, 3), owned: false },
    {},
    "unhealthy",
    ["worker-silent"],
  ],
  ["a heartbeat that is late", beat({}, HEARTBEAT_LIMIT_S - 1), {}, "healthy", []],
  ["no worker at all", undefined, {}, "unhealthy", ["worker-missing"]],
])("%s", (_what, last, backlog, status, codes) => {
  const health = assess(last, backlog);
  expect(health.status).toBe(status);
  expect(health.problems.map(({ code }) => code)).toEqual(codes);
});

test.each<[string, LastHeartbeat, Partial<CommandBacklog>, Partial<Problem>]>([
  ["a silent worker", beat({}, 20), {}, { code: "worker-silent", since: iso(20) }],
  ["a stopped worker", beat({ stopped: true }, 3600), {}, { code: "worker-stopped", since: iso(3600) }],
  [
    "a neglected command",
    beat(),
    { oldestRunnable: ago(60) },
    { code: "commands-neglected", since: iso(60), oldest_seconds: 60 },
  ],
  ["a problem of the worker", beat({ problems: [AWAY] }), {}, { code: "cad-disconnected", since: AWAY.since }],
  ["a full backlog", beat(), { full: "backlog", unsettled: 7 }, { code: "backlog-full", count: 7, since: iso(0) }],
])("since when there is %s", (_what, last, backlog, problem) => {
  expect(assess(last, backlog).problems).toMatchObject([problem]);
});

test("the last report of a silent worker is not shown as current", () => {
  expect(assess(beat({}, 20), {}).bridge).toMatchObject({
    connected: false,
    ready: false,
    authenticated: false,
  });
});

const WELL: Detected = {
  report: WORKER,
  connectionReady: true,
  breaksConnection: false,
  unanswered: undefined,
  unechoed: [],
  payloads: undefined,
  audit: undefined,
};
const SINCE = "2026-01-31T22:05:00.000Z";
const UNANSWERED = {
  scope: "everybody",
  since: Date.parse(SINCE),
  events: { "unit:status": 3, "unit:location": 2 },
  neverEchoed: ["unit:location"],
  waiting: 4,
} as const;
const NOT_CONFIRMING = {
  code: "cad-not-confirming",
  since: SINCE,
  count: 5,
  message: expect.stringMatching(/3 unit:status, 2 unit:location.*CAD_CONFIRM=auto,unit:location=barrier/),
} as const;
const destination = (more: Partial<typeof DESTINATION>) => ({
  ...WELL,
  report: { ...WORKER, destinations: [{ ...DESTINATION, ...more }] },
});

test.each<[string, Detected, Partial<Found>[]]>([
  ["nothing of a worker at work", WELL, []],
  ["that the CAD is away", { ...WELL, connectionReady: false }, [{ code: "cad-disconnected" }]],
  ["that the CAD confirms nothing", { ...WELL, unanswered: UNANSWERED }, [NOT_CONFIRMING]],
  [
    "an event that is never echoed",
    { ...WELL, unechoed: [{ event: "unit:status", since: Date.parse(SINCE), count: 9 }] },
    [
      {
        code: "event-never-echoed",
        about: "unit:status",
        since: SINCE,
        count: 9,
        message: expect.stringContaining("CAD_CONFIRM=auto,unit:status=barrier"),
      },
    ],
  ],
  ["that the CAD breaks the connection", { ...WELL, breaksConnection: true }, [{ code: "cad-breaks-connection" }]],
  [
    "which of them it is, where the CAD is away as well",
    { ...WELL, connectionReady: false, breaksConnection: true },
    [{ code: "cad-disconnected" }],
  ],
  ["commands without their key", { ...WELL, payloads: KEY }, [{ code: "payload-key-missing" }]],
  ["a chain that is broken", { ...WELL, audit: "the head is not its own" }, [{ code: "audit-chain-broken" }]],
  [
    "a handler that cannot read",
    { ...WELL, report: { ...WORKER, handlers: [{ ...HANDLER, reading_problem: KEY }] } },
    [{ code: "handler-stalled", about: "to:board" }],
  ],
  [
    "a paused destination, since when, and which",
    destination({ state: "paused", reason: "it answered 500", since: SINCE }),
    [{ code: "destination-paused", about: "board", since: SINCE }],
  ],
  ["a disabled destination", destination({ state: "disabled" }), [{ code: "destination-disabled", about: "board" }]],
  ["a removed destination", destination({ state: "removed" }), [{ code: "destination-removed", about: "board" }]],
  [
    "a destination without its key",
    destination({ payload_problem: KEY }),
    [{ code: "destination-key-missing", about: "board" }],
  ],
])("the worker detects %s", (_what, state, problems) => {
  const detected = detectProblems(state);
  expect(detected).toMatchObject(problems);
  expect(detected).toHaveLength(problems.length);
});

test("a text from outside goes into a problem's message on one line, and not without bound", () => {
  const [shown] = detectProblems({
    ...WELL,
    connectionReady: false,
    report: { ...WORKER, last_error: `a\r\nb\u2028${"x".repeat(5_000_000)}` },
  });
  expect(shown?.message).toContain("(a b x");
  expect(shown?.message.length).toBeLessThan(800);
});

test.each<[string, Partial<WorkerHealth> | undefined, boolean, number, string, Partial<Problem>[]]>([
  ["of an owner at work", {}, true, 200, "healthy", []],
  ["of a standby", undefined, true, 200, "healthy", []],
  ["of an owner whose CAD is not ready", { problems: [AWAY] }, true, 200, "degraded", [AWAY]],
  ["without Redis", {}, false, 503, "unhealthy", [{ code: "redis-unavailable", since: SINCE }]],
])("the worker's own /health, %s", async (_what, more, redis, code, status, problems) => {
  const health = more && { ...WORKER, ...more };
  const own = { instance: "w", role: "owner" as const, redis, redisAnswered: new Date(SINCE), health, more: [] };
  const report = createHealthReport();
  const server = await startHealthServer("127.0.0.1", 0, () => report(own));
  onTestFinished(() => server.stop());
  const answer = await fetch(`http://127.0.0.1:${server.port}/health`);
  expect(answer.status).toBe(code);
  expect(await answer.json()).toMatchObject({ status, problems, bridge: health ?? null });
});

/** What the functions see for themselves: nothing in Redis says when it began. */
const SEEN: [code: ProblemCode, look: Pick<Backend, "lastHeartbeat" | "backlog">][] = [
  ["worker-missing", { lastHeartbeat: async () => undefined, backlog: async () => EMPTY }],
  ["backlog-full", { lastHeartbeat: async () => beat(), backlog: async () => ({ ...EMPTY, full: "backlog" }) }],
  ["redis-full", { lastHeartbeat: async () => beat(), backlog: async () => ({ ...EMPTY, full: "redis" }) }],
  ["worker-not-consuming", { lastHeartbeat: async () => beat({ consuming: false }), backlog: async () => EMPTY }],
  [
    "redis-unavailable",
    { lastHeartbeat: () => Promise.reject(new Error("Connection is closed.")), backlog: async () => EMPTY },
  ],
];
test.each(SEEN)("%s has the time at which it was first noticed, until nobody looks any more", async (code, look) => {
  let seconds = 0;
  const now = () => new Date(NOW / 1000 + 1000 * seconds);
  const { follow } = createProblemTracker(() => now().getTime(), FORGET_PROBLEMS_MS);
  const since = async (at: number) => {
    seconds = at;
    const { problems } = await lookAtHealth(look, now, follow);
    return problems.map((there) => [there.code, there.since]);
  };
  expect(await since(1)).toEqual([[code, iso(-1)]]);
  expect(await since(9)).toEqual([[code, iso(-1)]]);
  expect(await since(400)).toEqual([[code, iso(-400)]]);
});
