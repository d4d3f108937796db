import { Cluster, type Redis, type RedisOptions } from "ioredis";

/** `redis+cluster://` and `rediss+cluster://`: the host is one of the nodes; `?node=host:port` adds more. */
export const CLUSTER_URL = /^(rediss?)\+cluster:/;

/** Time limit for reading the slots from a node, ms. */
const SLOTS_MS = 1000;

/** `maxRedirections`: how often a command is redirected by a node, or retried while its slot is migrating. */
type ClusterConnection = Omit<RedisOptions, "replyMapping"> & { maxRedirections: number };

/**
 * Connects to a Redis Cluster with the options of a single connection. All keys of a bridge share a hash tag, so every script
 * and transaction finds its keys on one node.
 */
export function openCluster(url: string, options: ClusterConnection, tls: RedisOptions["tls"]): Redis {
  const [, protocol] = CLUSTER_URL.exec(url) ?? [];
  // URL parses the host only for schemes that it knows.
  const { hostname, port, username, password, searchParams } = new URL(url.replace(CLUSTER_URL, "http:"));
  const nodes = [`${hostname}:${port || 6379}`, ...searchParams.getAll("node")].map((node) => {
    const { hostname: host, port: at } = new URL(`http://${node}`);
    return { host, port: Number(at || 80) };
  });
  const { retryStrategy, enableOfflineQueue, maxRedirections, ...each } = options;
  const cluster = new Cluster(nodes, {
    enableOfflineQueue,
    maxRedirections,
    clusterRetryStrategy: retryStrategy,
    slotsRefreshTimeout: SLOTS_MS,
    // The socket resolves names: a certificate is issued for a name, and workerd cannot resolve any by itself.
    dnsLookup: (address, found) => found(null, address),
    redisOptions: {
      ...each,
      ...(username ? { username: decodeURIComponent(username) } : {}),
      ...(password ? { password: decodeURIComponent(password) } : {}),
      ...(protocol === "rediss" ? { tls: tls ?? {} } : {}),
    },
  });
  // It supports every command; the types differ only in extra members of a single connection.
  return cluster as unknown as Redis;
}

/** Publishes and returns the number of subscribers. Each node of a cluster only counts its own. */
export async function publish(redis: Redis, channel: string, message: string): Promise<number> {
  const heard = await redis.publish(channel, message);
  const connection: unknown = redis;
  if (!(connection instanceof Cluster)) return heard;
  const counts = await Promise.all(connection.nodes("all").map((node) => node.pubsub("NUMSUB", channel)));
  return counts.reduce((sum, count) => sum + Number(count[1] ?? 0), 0);
}
