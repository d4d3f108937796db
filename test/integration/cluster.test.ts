import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { type OwnRedis, startRedis } from "../../tools/setup/redis.ts";
import { startBridge, tokens } from "../support/bridge.ts";
import { openStream } from "../support/sse.ts";
import { until } from "../../tools/support/until.ts";

const STATUS = { unit_id: "1", status: "enroute" };
/** The slots of each of three nodes. */
const SLOTS = [
  [0, 5460],
  [5461, 10_922],
  [10_923, 16_383],
] as const;

/** A Redis Cluster of three nodes on this machine. */
async function startCluster(): Promise<{ nodes: OwnRedis[]; clients: Redis[] }> {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-cluster-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const config = { "cluster-enabled": "yes", "cluster-node-timeout": "500" };
  const nodes = await Promise.all(
    SLOTS.map(async (_, i) => await startRedis({ dir: join(dir, String(i)), appendonly: true, config })),
  );
  onTestFinished(async () => void (await Promise.all(nodes.map((node) => node.stop()))));
  const clients = nodes.map((node) => new Redis(node.url).on("error", () => undefined));
  onTestFinished(() => clients.forEach((client) => client.disconnect()));
  await Promise.all(clients.map((client, i) => client.call("CLUSTER", "ADDSLOTSRANGE", ...(SLOTS[i] ?? []))));
  const [first] = clients;
  for (const node of nodes.slice(1)) await first?.call("CLUSTER", "MEET", "127.0.0.1", String(node.port));
  await until("the cluster is whole", async () => {
    const infos = await Promise.all(clients.map((client) => client.call("CLUSTER", "INFO")));
    return infos.every((info) => /cluster_state:ok[^]*cluster_known_nodes:3/.test(String(info)));
  });
  return { nodes, clients };
}

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
  const { nodes, clients } = await startCluster();
  const named = nodes.slice(1).map(({ port }) => `node=127.0.0.1:${port}`);
  const redisUrl = `redis+cluster://127.0.0.1:${nodes[0]?.port}?${named.join("&")}`;
  const bridge = await startBridge({ redisUrl, cad: { character: "modern" } });
  await bridge.deliver("/units/status", STATUS);
  const slot = Number(await clients[0]?.call("CLUSTER", "KEYSLOT", `{${bridge.prefix}}`));
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
