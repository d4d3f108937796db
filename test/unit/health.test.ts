import { expect, onTestFinished, test } from "vitest";
import type { CommandBacklog, LastHeartbeat } from "../../functions/backend/backend.ts";
import { assessHealth } from "../../functions/routes/health.ts";
import { NOTHING_SENT } from "../../shared/destinations/store.ts";
import { HEARTBEAT_LIMIT_S, type WorkerHealth } from "../../shared/health/worker-health.ts";
import type { Backlog } from "../../shared/outbox/outbox.ts";
import { startHealthServer } from "../../worker/runtime/health-server.ts";

const WORKER: WorkerHealth = {
  instance: "w",
  epoch: 1,
  stopped: false,
  ready: true,
  ready_seconds: 3600,
  confirm_seconds: 5,
  consuming: true,
  connected: true,
  authenticated: true,
  waiting_for: null,
  payload_problem: null,
  audit_problem: null,
  cad_url: "http://cad",
  last_connection: null,
  connection_attempts: 1,
  connections: 1,
  last_error: null,
  event_handlers_registered: 8,
  uptime_seconds: 1,
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
const NOW = 1_000_000_000;
const EMPTY: Backlog = {
  now: NOW,
  unsettled: 0,
  dead: 0,
  oldestUnsettled: undefined,
  oldestRunnable: undefined,
  counts: {},
};
const ago = (seconds: number) => NOW - seconds * 1_000_000;
const beat = (more: Partial<WorkerHealth> = {}, ageSeconds = 1): LastHeartbeat => ({
  health: { ...WORKER, ...more },
  ageSeconds,
});

test.each<[string, LastHeartbeat | undefined, Partial<CommandBacklog>, string, RegExp | undefined]>([
  ["a worker at work", beat(), {}, "healthy", undefined],
  [
    "a handler that cannot read the journal",
    beat({ handlers: [{ ...HANDLER, reading_problem: 'a payload is sealed with the key "old"' }] }),
    {},
    "degraded",
    /The handler to:board stands still: a payload is sealed with the key "old"/,
  ],
  [
    "a destination whose messages cannot be opened",
    beat({ destinations: [{ ...DESTINATION, payload_problem: 'a payload is sealed with the key "old"' }] }),
    {},
    "degraded",
    /Messages for the destination board wait: a payload is sealed with the key "old"/,
  ],
  [
    "an audit trail that cannot be chained",
    beat({ audit_problem: "the chain's head was not set by a worker with AUDIT_KEY" }),
    {},
    "degraded",
    /The audit trail cannot be chained on: the chain's head was not set by a worker/,
  ],
  ["a Redis that takes nothing more", beat(), { full: "redis" }, "unhealthy", /Redis is full: nothing is accepted/],
  ["as many commands as may wait", beat(), { full: "backlog" }, "unhealthy", /MAX_BACKLOG/],
  [
    "a backlog that is being worked on",
    beat(),
    { unsettled: 9, oldestUnsettled: ago(600), oldestRunnable: ago(5) },
    "healthy",
    undefined,
  ],
  [
    "a CAD that is not ready",
    beat({ ready: false, waiting_for: "the CAD is not connected" }),
    {},
    "degraded",
    /the CAD is not connected/,
  ],
  [
    "a command that waits for the key of its payload",
    beat({ payload_problem: 'a payload is sealed with the key "old"' }),
    {},
    "degraded",
    /the key "old"/,
  ],
  [
    "commands that wait for a CAD that is not ready",
    beat({ ready: false }),
    { oldestRunnable: ago(900) },
    "degraded",
    /wait/,
  ],
  [
    "a command that nobody works on",
    beat(),
    { unsettled: 1, oldestRunnable: ago(36) },
    "unhealthy",
    /not worked on for 36 s: the worker does not consume/,
  ],
  [
    "a command whose confirmation may take a minute",
    beat({ confirm_seconds: 60 }),
    { unsettled: 1, oldestRunnable: ago(89) },
    "healthy",
    undefined,
  ],
  [
    "a CAD that is ready again after a long outage",
    beat({ ready_seconds: 33 }),
    { unsettled: 1, oldestRunnable: ago(900) },
    "healthy",
    undefined,
  ],
  [
    "a command that nobody works on since the CAD is ready again",
    beat({ ready_seconds: 35 }),
    { unsettled: 1, oldestRunnable: ago(900) },
    "unhealthy",
    /not worked on for 36 s/,
  ],
  ["a queue that hands out nothing", beat({ consuming: false }), {}, "unhealthy", /No job comes out/],
  ["a heartbeat that stopped", beat({}, HEARTBEAT_LIMIT_S + 1), {}, "unhealthy", /last heard of 16 s ago/],
  ["a heartbeat that is late", beat({}, HEARTBEAT_LIMIT_S - 1), {}, "healthy", undefined],
  ["a worker that said goodbye", beat({ stopped: true }), {}, "unhealthy", /stopped/],
  ["no worker at all", undefined, {}, "unhealthy", /No worker/],
])("%s", (_what, last, backlog, status, problem) => {
  const health = assessHealth(last, { ...EMPTY, ...backlog }, "now");
  expect(health.status).toBe(status);
  expect(health.problems).toEqual(problem ? [expect.stringMatching(problem)] : []);
});

test("what a silent worker last said is not told as if it were so now", () => {
  expect(assessHealth(beat({}, 20), EMPTY, "now").bridge).toMatchObject({
    connected: false,
    ready: false,
    authenticated: false,
  });
});

test.each<[string, Partial<WorkerHealth> | undefined, boolean, number, string, RegExp[]]>([
  ["of an owner at work", {}, true, 200, "healthy", []],
  ["of a standby", undefined, true, 200, "healthy", []],
  ["of an owner whose CAD is not ready", { ready: false }, true, 200, "degraded", [/^Commands wait/]],
  [
    "of an owner with a handler that stands still",
    { handlers: [{ ...HANDLER, reading_problem: "a key is missing" }] },
    true,
    200,
    "degraded",
    [/to:board stands still: a key is missing/],
  ],
  [
    "of an owner whose commands and audit trail wait for a key",
    { payload_problem: "a key is missing", audit_problem: "the head is not its own" },
    true,
    200,
    "degraded",
    [/^Commands wait: a key is missing/, /The audit trail cannot be chained on/],
  ],
  ["without Redis", {}, false, 503, "unhealthy", [/^Redis does not answer/]],
])("the worker's own /health, %s", async (_what, more, redis, code, status, problems) => {
  const health = more && { ...WORKER, ...more };
  const server = await startHealthServer("127.0.0.1", 0, () => ({ instance: "w", role: "owner", redis, health }));
  onTestFinished(() => server.stop());
  const answer = await fetch(`http://127.0.0.1:${server.port}/health`);
  expect(answer.status).toBe(code);
  const said = problems.map((problem) => expect.stringMatching(problem) as unknown);
  expect(await answer.json()).toMatchObject({ status, problems: said, bridge: health ?? null });
});
