import { execFile } from "node:child_process";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { expect, inject, onTestFinished, test } from "vitest";
import { chainKeys } from "../../shared/audit/chain.ts";
import { auditKeys } from "../../shared/audit/keys.ts";
import { verifyTrail } from "../../shared/audit/verify.ts";
import { outboxKeys } from "../../shared/redis/keys.ts";
import { closeRedis, connectRedis } from "../../shared/redis/redis.ts";
import { noLog } from "../../shared/util/log.ts";
import { startRedis } from "../../tools/setup/redis.ts";
import { type Bridge, startBridge, tokens } from "../support/bridge.ts";
import { moveOf, prefixBelow, slotOf, SLOTS, startCluster, type TestCluster } from "../support/cluster.ts";
import { openStream } from "../support/sse.ts";
import { until } from "../../tools/support/until.ts";

/** What the worker and Redis do is the same behind either host. */
const onNode = inject("host") === "node";

const STATUS = { unit_id: "1", status: "enroute" };
test("a Redis Cluster carries commands in order, tells their final state, and passes a reconnect on", async () => {
  const { nodes } = await startCluster();
  const redisUrl = `redis+cluster://127.0.0.1:${nodes[0]?.port}`;
  const bridge = await startBridge({ redisUrl, cad: { character: "modern" } });
  const waited = await bridge.post("/units/status", STATUS, { Prefer: "wait=10" });
  expect(waited).toMatchObject({ status: 200, body: { status: "confirmed" } });
  let last: unknown;
  for (let i = 0; i < 20; i += 1) last = (await bridge.post("/units/status", STATUS)).body["command_id"];
  expect(await bridge.settled(last)).toMatchObject({ status: "confirmed" });
  expect(bridge.cad.ledger.summary()).toMatchObject({ commands: 21, duplicates: 0, violations: 0 });
  const client = await openStream(bridge, tokens.dispatcher, "?last_event_id=0-0");
  expect(await client.told(21)).toHaveLength(21);
  expect((await bridge.get("/units?status=enroute")).body["units"]).toMatchObject([{ unit_id: STATUS.unit_id }]);
  expect(await bridge.post("/reconnect", {})).toMatchObject({ status: 200, body: { success: true } });
}, 40_000);

test("with a node of the cluster away it answers 503 and does not hang, and goes on when that is back", async () => {
  const cluster = await startCluster();
  const { nodes, clients } = cluster;
  const bridge = await startBridge({ redisUrl: cluster.url, cad: { character: "modern" } });
  await bridge.deliver("/units/status", STATUS);
  const [client] = clients;
  const slot = client ? await slotOf(client, bridge.prefix) : 0;
  const owner = SLOTS.findIndex(([from, to]) => slot >= from && slot <= to);
  const node = nodes[owner];
  if (!node) throw new Error(`no node has slot ${slot}`);
  await node.stop();
  const asked = performance.now();
  expect(await bridge.post("/units/status", STATUS)).toMatchObject({ status: 503 });
  expect(performance.now() - asked).toBeLessThan(2500);
  const dir = join(node.process.output, "..");
  const again = await startRedis({ dir, port: node.port, appendonly: true, config: { "cluster-enabled": "yes" } });
  onTestFinished(() => again.stop());
  const id = await until(
    "it accepts again",
    async () => {
      const { status, body } = await bridge.post("/units/status", STATUS);
      return status === 202 && body["command_id"];
    },
    15_000,
  );
  expect(await bridge.settled(id)).toMatchObject({ status: "confirmed" });
}, 40_000);

/** Everything accepted was delivered, once each and in order, and the audit trail has all of it. */
async function expectWhole(bridge: Bridge, cluster: TestCluster, accepted: readonly unknown[]): Promise<void> {
  for (const id of accepted) expect(await bridge.settled(id, 30_000)).toMatchObject({ status: "confirmed" });
  expect(bridge.cad.ledger.summary()).toMatchObject({ violations: 0 });
  await bridge.healthy();
  const redis = connectRedis({ REDIS_URL: cluster.url }, "worker", noLog);
  onTestFinished(() => closeRedis(redis));
  const keys = outboxKeys(bridge.prefix);
  const entries = await redis.xrange(auditKeys(keys.base).entries, "-", "+");
  const noted = new Set(entries.map(([, fields]) => fields[fields.indexOf("command") + 1]));
  expect(accepted.filter((id) => !noted.has(String(id)))).toEqual([]);
  await until("the trail is chained, and whole", async () => {
    const verdict = await verifyTrail(redis, auditKeys(keys.base), chainKeys(undefined));
    if (!verdict.ok) throw new Error(`${verdict.id} ${verdict.what}`);
    return verdict.unlinked === 0;
  });
}

const MOVED = [
  ["before any key has moved", () => false],
  ["with every other key moved", (_key: string, i: number) => i % 2 === 0],
  ["with all of the outbox moved but its lines", (key: string) => !key.includes(":line:")],
  ["with every key moved", () => true],
] as [string, (key: string, i: number) => boolean][];

test.each(onNode ? MOVED : MOVED.slice(2, 3))(
  "a slot that is being moved, %s: 503, nothing is accepted, and it goes on afterwards",
  async (_what, take) => {
    const cluster = await startCluster();
    const bridge = await startBridge({ redisUrl: cluster.url, cad: { character: "modern" } });
    const died = bridge.worker()?.failed.catch((error: unknown) => error);
    const ids: unknown[] = [];
    for (let i = 0; i < 10; i += 1) ids.push((await bridge.deliver("/units/status", STATUS)).command_id);
    const move = await moveOf(cluster, bridge.prefix);
    await move.begin();
    await move.move(take);
    const before = new Set(await move.moved());
    for (let i = 0; i < 4; i += 1)
      expect(await bridge.post("/units/status", { ...STATUS, unit_id: `new-${i}` })).toMatchObject({ status: 503 });
    // Long enough for the worker to have tried everything that it does.
    await until("the worker stands by", async () => {
      const health = await fetch(`http://127.0.0.1:${bridge.worker()?.port}/health`);
      return ((await health.json()) as { role: string }).role === "standby";
    });
    const moving = [{ code: "redis-moving" }];
    expect(await bridge.get("/health")).toMatchObject({ status: 503, body: { problems: moving } });
    const made = (await move.moved()).filter((key) => !before.has(key) && !/:(limit|health|emit):?/.test(key));
    expect(made).toEqual([]);
    await move.finish();
    const id = await until("it accepts again", async () => {
      const { status, body } = await bridge.post("/units/status", STATUS);
      return status === 202 && body["command_id"];
    });
    await expectWhole(bridge, cluster, [...ids, id]);
    expect(await Promise.race([died, Promise.resolve("alive")])).toBe("alive");
  },
  60_000,
);

test.runIf(onNode)(
  "a reshard under load: every 202 is delivered in order, and the worker lives on",
  async () => {
    const cluster = await startCluster();
    const [client] = cluster.clients;
    if (!client) throw new Error("a cluster has nodes");
    const prefix = await prefixBelow(client, 40);
    const bridge = await startBridge({
      redisUrl: cluster.url,
      cad: { character: "modern" },
      functions: { REDIS_PREFIX: prefix },
    });
    const died = bridge.worker()?.failed.catch((error: unknown) => error);
    const accepted: unknown[] = [];
    const refused: number[] = [];
    const over = new AbortController();
    onTestFinished(() => over.abort());
    async function post(i: number): Promise<void> {
      const { status, body } = await bridge.post("/units/status", { ...STATUS, unit_id: `u${i % 20}` });
      if (status === 202) accepted.push(body["command_id"]);
      else refused.push(status);
    }
    async function load(): Promise<void> {
      const asked: Promise<void>[] = [];
      for (let i = 0; !over.signal.aborted; i += 1) {
        asked.push(post(i).catch(() => void refused.push(0)));
        await pause(10);
      }
      await Promise.all(asked);
    }
    const loading = load();
    await until("there is load", () => accepted.length > 300);
    const ids = await Promise.all(cluster.clients.map(async (node) => String(await node.call("CLUSTER", "MYID"))));
    const reshard = ["--cluster", "reshard", `127.0.0.1:${cluster.nodes[0]?.port}`, "--cluster-yes"];
    const fromTo = ["--cluster-from", ids[0] ?? "", "--cluster-to", ids[1] ?? "", "--cluster-slots", "40"];
    await promisify(execFile)("redis-cli", [...reshard, ...fromTo], { timeout: 60_000 });
    const moved = accepted.length;
    await until("it accepts again", () => accepted.length > moved + 100, 20_000);
    over.abort();
    await loading;
    expect(new Set(refused)).toEqual(new Set(refused.length > 0 ? [503] : []));
    await expectWhole(bridge, cluster, accepted);
    expect(await Promise.race([died, Promise.resolve("alive")])).toBe("alive");
  },
  120_000,
);
