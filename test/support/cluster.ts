import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { onTestFinished } from "vitest";
import { type OwnRedis, startRedis } from "../../tools/setup/redis.ts";
import { until } from "../../tools/support/until.ts";
import { freshPrefix } from "./redis.ts";

/** The slots of each of three nodes. */
export const SLOTS = [
  [0, 5460],
  [5461, 10_922],
  [10_923, 16_383],
] as const;

export interface TestCluster {
  nodes: OwnRedis[];
  /** A connection to each node alone, in the same order. */
  clients: Redis[];
  /** What names the cluster, all its nodes in it. */
  url: string;
}

/** A Redis Cluster of three nodes on this machine. */
export async function startCluster(): Promise<TestCluster> {
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
  const [one, ...more] = nodes.map(({ port }) => `127.0.0.1:${port}`);
  return { nodes, clients, url: `redis+cluster://${one}?${more.map((node) => `node=${node}`).join("&")}` };
}

/** The slot of a prefix's keys. */
export const slotOf = async (client: Redis, prefix: string): Promise<number> =>
  Number(await client.call("CLUSTER", "KEYSLOT", `{${prefix}}`));

/** A prefix whose slot is one of the first so many. */
export async function prefixBelow(client: Redis, slots: number): Promise<string> {
  for (;;) {
    const prefix = freshPrefix();
    if ((await slotOf(client, prefix)) < slots) return prefix;
  }
}

/** Moves a prefix's slot to another node step by step, as `redis-cli --cluster reshard` does. */
export interface SlotMove {
  /** Both nodes know of it from here on; no key has moved yet. */
  begin(): Promise<void>;
  /** Moves the keys that are taken; answers how many. */
  move(take: (key: string, i: number) => boolean): Promise<number>;
  /** Moves the rest, and the slot belongs to the other node. */
  finish(): Promise<void>;
  /** The prefix's keys on the other node. */
  moved(): Promise<string[]>;
}

const MOST_KEYS = 1_000_000;

export async function moveOf({ nodes, clients }: TestCluster, prefix: string): Promise<SlotMove> {
  const slot = await slotOf(at(clients, 0), prefix);
  const from = SLOTS.findIndex(([first, last]) => slot >= first && slot <= last);
  const to = (from + 1) % nodes.length;
  const [source, target, port] = [at(clients, from), at(clients, to), at(nodes, to).port];
  const [sourceId, targetId] = (
    await Promise.all([source, target].map(async (client) => await client.call("CLUSTER", "MYID")))
  ).map(String);
  const keysAt = async (client: Redis) => (await client.call("CLUSTER", "GETKEYSINSLOT", slot, MOST_KEYS)) as string[];

  async function move(take: (key: string, i: number) => boolean): Promise<number> {
    const keys = (await keysAt(source)).filter(take);
    for (const key of keys) await source.call("MIGRATE", "127.0.0.1", port, key, 0, 5000);
    return keys.length;
  }
  return {
    async begin() {
      await target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceId ?? "");
      await source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", targetId ?? "");
    },
    move,
    async finish() {
      while ((await move(() => true)) > 0);
      for (const client of [target, source, ...clients])
        await client.call("CLUSTER", "SETSLOT", slot, "NODE", targetId ?? "");
    },
    moved: () => keysAt(target),
  };
}

function at<T>(list: readonly T[], i: number): T {
  const found = list[i];
  if (found === undefined) throw new RangeError(`there is no ${i} in a list of ${list.length}`);
  return found;
}
