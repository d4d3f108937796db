import { Redis, type RedisOptions } from "ioredis";
import { parseSentinelUrl } from "../config/redis-url.ts";
import { openSentinels } from "./sentinel.ts";
import type { Log } from "../util/log.ts";
import { CLUSTER_URL, openCluster } from "./cluster.ts";
import { faultReason, RedisFault, redisFault, whyFailed } from "./fault.ts";
import { withDeadline } from "../util/sleep.ts";

/** Duration of BullMQ's longest blocking read, ms. */
const BLOCKING_READ_MS = 10_000;

/**
 * Timeouts and retries of a connection. `request`: for HTTP requests; fails at once while Redis is down, after 1 s when it
 * hangs, and never queues. `worker`: outlasts a short outage, and fails after 5 s in a longer one. `queue`: for BullMQ, which
 * blocks and retries by itself.
 *
 * `socketTimeout`: reconnects if a command gets no answer for this long. The connection may be dead without being closed, and
 * would stay so: measured with a network that goes silent.
 */
const PROFILES = {
  request: {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout: 1000,
    connectTimeout: 1000,
    socketTimeout: 1500,
    retryStrategy: (n: number) => Math.min(50 * n, 500),
    // A command for a migrating slot is retried every 100 ms: given up before the command's timeout, so it is never sent later.
    maxRedirections: 5,
  },
  worker: {
    maxRedirections: 16,
    maxRetriesPerRequest: null,
    commandTimeout: 5000,
    connectTimeout: 2000,
    socketTimeout: 3000,
    retryStrategy: (n: number) => Math.min(50 * n, 500),
  },
  queue: {
    maxRedirections: 16,
    maxRetriesPerRequest: null,
    connectTimeout: 2000,
    socketTimeout: BLOCKING_READ_MS + 2000,
    retryStrategy: (n: number) => Math.min(50 * n, 500),
  },
} as const satisfies Record<string, RedisOptions & { maxRedirections: number }>;

/** A demoted master keeps its connections: its name points to another server by now, which only a new connection reaches. */
const reconnectOnError = (error: Error): boolean => error.message.startsWith("READONLY");

/**
 * Sends all commands of one turn of the event loop together: one system call per command took a quarter of a request's CPU
 * time under load (measured).
 */
function sendTogether(redis: Redis): void {
  redis.on("connect", () => {
    const { stream } = redis;
    const write = stream.write.bind(stream);
    stream.write = ((...args: Parameters<typeof write>) => {
      if (stream.writableCorked === 0) {
        stream.cork();
        setImmediate(() => stream.uncork());
      }
      return write(...args);
    }) as typeof write;
  });
}

/** Why a connection fails, if known and permanent. */
const faults = new WeakMap<Redis, RedisFault>();

/** A command may fail only because there is no connection: returns the reason for that, or else the error itself. */
export function explain(redis: Redis, error: unknown): unknown {
  return redisFault(error) === "unavailable" ? (faults.get(redis) ?? error) : error;
}

/** Redis's address and credentials. */
export interface RedisConfig {
  REDIS_URL: string;
  REDIS_SENTINEL_USERNAME?: string | undefined;
  REDIS_SENTINEL_PASSWORD?: string | undefined;
  /** PEM. */
  REDIS_TLS_CERT?: string | undefined;
  REDIS_TLS_KEY?: string | undefined;
  REDIS_TLS_CA?: string | undefined;
}

function open(config: RedisConfig, profile: keyof typeof PROFILES): Redis {
  const { maxRedirections, ...rest } = PROFILES[profile];
  const { REDIS_URL: url, REDIS_TLS_CERT: cert, REDIS_TLS_KEY: key, REDIS_TLS_CA: ca } = config;
  const given = Object.entries({ cert, key, ca }).filter(([, pem]) => pem !== undefined);
  const tls =
    given.length > 0 ? (Object.fromEntries(given) as { cert?: string; key?: string; ca?: string }) : undefined;
  const options = { ...rest, reconnectOnError };
  if (CLUSTER_URL.test(url)) return openCluster(url, { ...options, maxRedirections }, tls);
  const address = parseSentinelUrl(url);
  if (!address) return new Redis(url, { ...options, ...(tls && url.startsWith("rediss:") && { tls }) });
  const { REDIS_SENTINEL_USERNAME: sentinelUsername, REDIS_SENTINEL_PASSWORD: sentinelPassword } = config;
  const own = { ...(sentinelUsername && { sentinelUsername }), ...(sentinelPassword && { sentinelPassword }) };
  return openSentinels({ ...address, ...own }, options, tls);
}

/** Opens a connection. Losing and regaining it is logged once each, not for every attempt. */
export function connectRedis(config: RedisConfig, profile: keyof typeof PROFILES, log: Log): Redis {
  const redis = open(config, profile);
  if (redis.isCluster) redis.on("+node", sendTogether);
  else sendTogether(redis);
  let reachable: boolean | undefined;
  redis.on("ready", () => {
    if (reachable === false) log.info({ profile }, "Redis is reachable again");
    reachable = true;
    faults.delete(redis);
  });
  redis.on("error", (error: Error & { code?: string }) => {
    if (reachable !== false) log.error({ profile, reason: error.code ?? whyFailed(error) }, "Redis is not reachable");
    reachable = false;
    // If several addresses refuse, the error has a code but no message.
    const kind = redisFault(error) ?? (error.code === "ECONNREFUSED" ? "unavailable" : undefined);
    if (kind === "refused" || kind === "unsuitable" || kind === "unavailable")
      faults.set(redis, new RedisFault(kind, faultReason(error)));
  });
  return redis;
}

/** Closes a connection, with QUIT if Redis answers within a second. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === "end") return;
  if (redis.status === "ready") await withDeadline(redis.quit(), 1000, "QUIT").catch(() => undefined);
  redis.disconnect();
}
