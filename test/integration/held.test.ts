import { expect, inject, test } from "vitest";
import type { Receipt } from "../../shared/commands/receipt.ts";
import { type Bridge, CAD_TOKEN, startBridge, tokens } from "../support/bridge.ts";
import { parseMetrics } from "../support/metrics.ts";
import { ownRedis } from "../support/own-redis.ts";
import { workerProcess } from "../support/worker-process.ts";
import { until } from "../../tools/support/until.ts";

const HOLD = { HOLD: "assignments/send,incidents/status" };
const CAD = { character: "modern" } as const;
const INCIDENT = { incident_type: "Chest Pain", address: "500 Mission St", priority: 1 };
/** Of one unit and one incident: the first and the fourth have both keys, each other one of them. */
const SIX: readonly [path: string, body: object][] = [
  ["/assignments/send", { unit_id: "M1", incident_id: "I1", ...INCIDENT }],
  ["/units/status", { unit_id: "M1", status: "enroute" }],
  ["/incidents/status", { incident_id: "I1", status: "ENROUTE" }],
  ["/assignments/send", { unit_id: "M1", incident_id: "I1", ...INCIDENT }],
  ["/units/status", { unit_id: "M1", status: "onscene" }],
  ["/incidents/status", { incident_id: "I1", status: "ONSCENE" }],
];

/** Sends six commands, of which the CAD rejects the first; answers their ids once that is held. */
async function sendSix(bridge: Bridge): Promise<string[]> {
  bridge.cad.switches.reject = { next: 1 };
  const ids: string[] = [];
  for (const [path, body] of SIX) {
    const { status, body: answer } = await bridge.post(path, body);
    expect(status, JSON.stringify(answer)).toBe(202);
    ids.push(String(answer["command_id"]));
  }
  expect(await bridge.settled(ids[0])).toMatchObject({ status: "rejected", held: true });
  return ids;
}

const arrived = (bridge: Bridge, of: readonly string[]): (string | null)[] =>
  bridge.cad.ledger.entries().flatMap(({ commandId }) => (commandId && of.includes(commandId) ? [commandId] : []));
const receiptOf = async (bridge: Bridge, id: string | undefined) => (await bridge.get(`/commands/${id}`)).body;
const problemOf = async (bridge: Bridge) => {
  const { body } = await bridge.get("/health");
  return (body["problems"] as { code: string }[]).find(({ code }) => code === "dead-letter-held");
};

const HANDLE = {
  /** The new command comes first. */
  redrive: async (bridge: Bridge, id: string) => {
    const { status, body } = await bridge.post(`/dead-letters/${id}/redrive`, {});
    expect(status).toBe(202);
    expect(body["message"]).toMatch(/in the place of the dead letter/);
    return [String(body["command_id"])];
  },
  discard: async (bridge: Bridge, id: string) => {
    const headers = { Authorization: `Bearer ${tokens.admin}` };
    const { status } = await fetch(`${bridge.url}/dead-letters/${id}`, { method: "DELETE", headers });
    expect(status).toBe(204);
    return [];
  },
} as const;

test.each(Object.keys(HANDLE) as (keyof typeof HANDLE)[])(
  "what follows a dead letter that holds its place waits, and comes in its order after a %s; others go on",
  async (how) => {
    const bridge = await startBridge({ cad: CAD, worker: HOLD });
    const [first = "", ...rest] = await sendSix(bridge);
    const others = [];
    for (let i = 0; i < 10; i += 1) {
      const from = performance.now();
      const other = await bridge.deliver("/units/status", { unit_id: `M${i + 10}`, status: "enroute" });
      expect(other.status).toBe("confirmed");
      others.push(performance.now() - from);
    }
    expect(others.toSorted((a, b) => a - b)[5]).toBeLessThan(1000);
    expect(arrived(bridge, rest)).toEqual([]);

    const heads = await HANDLE[how](bridge, first);
    const all = [...heads, ...rest];
    for (const id of all) expect((await bridge.settled(id)).status).toMatch(/^(confirmed|received)$/);
    expect(arrived(bridge, all)).toHaveLength(all.length);
    // One with both keys comes after all before it, and before all after it.
    const at = (id: string | undefined) => arrived(bridge, all).indexOf(id ?? "");
    const [second, third, fourth, fifth, sixth] = rest;
    for (const [before, after] of [
      ...heads.flatMap((head) => [
        [head, second],
        [head, third],
      ]),
      ...[
        [second, fourth],
        [third, fourth],
        [fourth, fifth],
        [fourth, sixth],
      ],
    ])
      expect(at(before)).toBeLessThan(at(after));
    expect(bridge.cad.ledger.summary()).toMatchObject({ violations: 0, appliedViolations: 0 });
    expect((await bridge.get("/status")).body).toMatchObject({ unaccounted: 0 });
    expect(await problemOf(bridge)).toBeUndefined();
    expect(await receiptOf(bridge, first)).toMatchObject({ status: "rejected", held: false });
  },
);

test("what is held, and what waits behind it, shows in health, metrics, queues, receipts and the list of dead letters", async () => {
  const bridge = await startBridge({ cad: CAD, worker: HOLD });
  const [first = "", second, third, fourth] = await sendSix(bridge);
  expect(await problemOf(bridge)).toMatchObject({
    severity: "warning",
    count: 1,
    since: expect.any(String),
    message: expect.stringMatching(/5 commands wait behind it/),
    hint: expect.stringMatching(/redrive/),
  });
  // The worker reports it too: by that it pages.
  await until("the worker reports it", async () => {
    const { body } = await bridge.get("/status");
    const { problems } = body["worker_report"] as { problems: { code: string }[] };
    return problems.some(({ code }) => code === "dead-letter-held");
  });
  expect((await bridge.get("/health")).body["backlog"]).toMatchObject({ held_dead_letters: 1, held_back: 5 });
  const metrics = parseMetrics(String((await bridge.get("/metrics")).body["text"]));
  expect(metrics.get("socket_bridge_dead_letters_held")).toBe(1);
  expect(metrics.get("socket_bridge_commands_held_back")).toBe(5);
  expect(metrics.get('socket_bridge_problem{code="dead-letter-held"}')).toBe(1);
  expect(metrics.get("socket_bridge_commands_unaccounted")).toBe(0);

  expect(await receiptOf(bridge, first)).toMatchObject({ held: true, waiting_behind: 5 });
  expect(await receiptOf(bridge, second)).toMatchObject({ held: false, held_back_by: first });
  const { queues } = (await bridge.get("/queues")).body as { queues: object[] };
  expect(queues).toContainEqual(expect.objectContaining({ key: "unit:M1", waiting: 3, held_by: first }));
  const queue = (await bridge.get(`/queues/${encodeURIComponent("incident:I1")}`)).body;
  expect(queue).toMatchObject({ waiting: 3, why: expect.stringMatching(`dead letter ${first} .* holds its place`) });
  expect((queue["commands"] as Receipt[]).map((c) => c.command_id).slice(0, 3)).toEqual([first, third, fourth]);
  const list = async (held: boolean) => {
    const { body } = await bridge.get(`/dead-letters?held=${held}`);
    return (body["dead_letters"] as Receipt[]).map((letter) => letter.command_id);
  };
  expect([await list(true), await list(false)]).toEqual([[first], []]);
  const all = await bridge.post("/dead-letters/redrive", { held: true });
  expect(all).toMatchObject({ status: 202, body: { count: 1 } });
  await bridge.settled(fourth);
});

test(
  "what is held stays so over kills of the worker and of Redis, and when HOLD is changed",
  { timeout: 60_000 },
  async (t) => {
    if (inject("host") === "edge") t.skip("it is about the worker and Redis");
    const redis = await ownRedis();
    const bridge = await startBridge({ cad: CAD, worker: false, redisUrl: redis.url });
    const env = { REDIS_URL: redis.url, REDIS_PREFIX: bridge.prefix, CAD_BACKEND_URL: bridge.cad.url };
    const start = (more: Record<string, string>) =>
      workerProcess({ ...env, CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN, ...more });
    const before = await start(HOLD);
    await bridge.healthy();
    const [first = "", ...rest] = await sendSix(bridge);

    before.kill("SIGKILL");
    redis.process.kill("SIGKILL");
    await Promise.all([before.exited, redis.process.exited]);
    await redis.restart();
    const after = await start({});
    const other = async () =>
      (await bridge.post("/units/status", { unit_id: "M9", status: "enroute" })).body["command_id"];
    const id = await until("Redis takes commands", other);
    expect(await bridge.settled(id, 20_000)).toMatchObject({ status: "confirmed" });
    expect(await receiptOf(bridge, first)).toMatchObject({ status: "rejected", held: true, waiting_behind: 5 });
    expect(arrived(bridge, rest)).toEqual([]);

    const heads = await HANDLE.redrive(bridge, first);
    after.kill("SIGKILL");
    await after.exited;
    await start(HOLD);
    for (const one of [...heads, ...rest]) expect((await bridge.settled(one, 20_000)).status).toBe("confirmed");
    expect(bridge.cad.ledger.summary()).toMatchObject({ violations: 0 });
    expect((await bridge.get("/status")).body).toMatchObject({ unaccounted: 0 });
  },
);
