import { Cluster, type Redis, type RedisOptions } from "ioredis";

/** `redis+cluster://` and `rediss+cluster://`: the host is one of the cluster's nodes, `?node=host:port` names more. */
export const CLUSTER_URL = /^(rediss?)\+cluster:/;

/** How long asking a node which slots there are may take, ms. */
const SLOTS_MS = 1000;

/** `maxRedirections`: how often a command is sent again to where a node says, or since its slot is being moved. */
type ClusterConnection = Omit<RedisOptions, "replyMapping"> & { maxRedirections: number };

/**
 * A connection to a Redis Cluster, with the options of one to a single Redis. All keys of a bridge share a hash tag, so
 * every script and transaction finds its keys on one node.
 */
export function openCluster(url: string, options: ClusterConnection, tls: RedisOptions["tls"]): Redis {
  const [, protocol] = CLUSTER_URL.exec(url) ?? [];
  // Only under a scheme that it knows does URL read the host.
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
    // Names are left to the socket: a certificate is for a name, and workerd resolves none by itself.
    dnsLookup: (address, found) => found(null, address),
    redisOptions: {
      ...each,
      ...(username ? { username: decodeURIComponent(username) } : {}),
      ...(password ? { password: decodeURIComponent(password) } : {}),
      ...(protocol === "rediss" ? { tls: tls ?? {} } : {}),
    },
  });
  // It takes every command of Redis; the types only differ in what a single connection has beside those.
  return cluster as unknown as Redis;
}

/** Publishes, and answers how many listen. Each node of a cluster knows only of those that are connected to itself. */
export async function publish(redis: Redis, channel: string, message: string): Promise<number> {
  const heard = await redis.publish(channel, message);
  const connection: unknown = redis;
  if (!(connection instanceof Cluster)) return heard;
  const counts = await Promise.all(connection.nodes("all").map((node) => node.pubsub("NUMSUB", channel)));
  return counts.reduce((sum, count) => sum + Number(count[1] ?? 0), 0);
}
