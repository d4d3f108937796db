import { Redis, type RedisOptions } from "ioredis";
import { parseSentinelUrl } from "../config/redis-url.ts";
import { openSentinels } from "./sentinel.ts";
import type { Log } from "../util/log.ts";
import { CLUSTER_URL, openCluster } from "./cluster.ts";
import { faultReason, RedisFault, redisFault, whyFailed } from "./fault.ts";
import { withDeadline } from "../util/sleep.ts";

/** How long the longest blocking read of BullMQ takes, ms. */
const BLOCKING_READ_MS = 10_000;

/**
 * How long and how often a connection tries.
 *
 * - `request`: behind an HTTP request. Fails at once while Redis is away, and after 1 s when it hangs; never queues.
 * - `worker`: behind long-lived work. Outlasts a short outage, and fails after 5 s in a longer one.
 * - `queue`: for BullMQ, whose blocking reads take as long as they take, and which retries by itself.
 *
 * `socketTimeout`: a connection on which a command was not answered for so long is made anew. It may be dead without
 * having been closed, and would stay so for ever: measured with a network that goes silent.
 */
const PROFILES = {
  request: {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout: 1000,
    connectTimeout: 1000,
    socketTimeout: 1500,
    retryStrategy: (n: number) => Math.min(50 * n, 500),
    // Of a slot that moves it is asked again every 100 ms: given up before the command would time out, and so never sent later.
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

/** A master that became a replica keeps its connections: behind its name stands another by now, and only a new connection gets there. */
const reconnectOnError = (error: Error): boolean => error.message.startsWith("READONLY");

/**
 * What is asked of Redis in one turn of the event loop goes out together: a system call for each command was a quarter of the
 * processor time of a request, under load (measured).
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

/** Why a connection does not come about, where that is known and does not pass by itself. */
const faults = new WeakMap<Redis, RedisFault>();

/** A command fails only since there is no connection: this says why there is none. Else answers the error itself. */
export function explain(redis: Redis, error: unknown): unknown {
  return redisFault(error) === "unavailable" ? (faults.get(redis) ?? error) : error;
}

/** Where Redis is, and what it takes to be let in. */
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

/** Opens a connection. Losing and regaining it is logged once each, not for every try. */
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
    // Of several addresses that refuse, the error has a code and no text.
    const kind = redisFault(error) ?? (error.code === "ECONNREFUSED" ? "unavailable" : undefined);
    if (kind === "refused" || kind === "unsuitable" || kind === "unavailable")
      faults.set(redis, new RedisFault(kind, faultReason(error)));
  });
  return redis;
}

/** Closes a connection, saying QUIT if Redis listens within a second. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === "end") return;
  if (redis.status === "ready") await withDeadline(redis.quit(), 1000, "QUIT").catch(() => undefined);
  redis.disconnect();
}

type Argument = string | number;
export type ScriptReply = string | number | null | ScriptReply[];
export type Script = (...args: Argument[]) => Promise<ScriptReply>;

/**
 * A Lua script as a function of the keys that are given here and its arguments; sent by its hash once Redis knows it.
 *
 * It declares one key more, which never exists. While the slot of the bridge's keys moves to another node of a cluster, some
 * of them are there and some here, and a script would find half of a state, or none. A script that declares several keys of
 * which one is missing is answered TRYAGAIN by both nodes, for as long as the slot moves: so it runs nowhere.
 */
export function script(redis: Redis, name: string, lua: string, keys: readonly [string, ...string[]]): Script {
  const declared = [...keys, `${keys[0]}:absent`];
  redis.defineCommand(name, { numberOfKeys: declared.length, lua });
  // defineCommand adds a method of that name, of which the types cannot know.
  const commands = redis as unknown as Record<string, Script>;
  return (...args) => {
    const run = commands[name];
    if (!run) throw new TypeError(`the script ${name} is not defined on this connection`);
    return run.call(redis, ...declared, ...args);
  };
}

/** The one argument of a script with several: its fields by name. The JSON of Redis refuses half of a surrogate pair. */
export const jsonArgument = (fields: Readonly<Record<string, unknown>>): string =>
  JSON.stringify(fields, (_name, value: unknown) => (typeof value === "string" ? value.toWellFormed() : value));

/** Asks whether Redis takes nothing more. @param key any of the bridge's: in a cluster, that of its node */
export function askWhetherFull(redis: Redis, key: string): () => Promise<boolean> {
  // Redis itself refuses a script that may store something, when it is full.
  const room = script(redis, "redisRoom", "#!lua\nreturn 1", [key]);
  return async () => {
    try {
      await room();
      return false;
    } catch (error) {
      if (redisFault(error) === "full") return true;
      throw error;
    }
  };
}
