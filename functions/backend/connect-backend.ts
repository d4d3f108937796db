import { once } from "node:events";
import type { Log } from "../../shared/util/log.ts";
import { closeRedis, connectRedis } from "../../shared/redis/redis.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import { withDeadline } from "../../shared/util/sleep.ts";
import { type Backend, createBackend } from "./backend.ts";
import type { FunctionsConfig } from "../config/node-config.ts";
import { toQuotas } from "../config/quotas.ts";

/** How long a host waits for Redis before it answers, ms: it is there in a few milliseconds, or not. */
const FIRST_CONNECT_MS = 1000;

/** A backend on its own two connections to Redis, one of them for subscriptions. They heal by themselves. */
export interface ConnectedBackend {
  backend: Backend;
  /** Resolves once both are there, or have not come in time: every answer says how Redis is. */
  connected: Promise<unknown>;
  close(): Promise<void>;
}

export function connectBackend(
  config: Pick<FunctionsConfig, "REDIS_URL" | "REDIS_PREFIX" | "MAX_BACKLOG"> & Parameters<typeof toQuotas>[0],
  sealer: Sealer,
  log: Log,
): ConnectedBackend {
  const { REDIS_URL: url, REDIS_PREFIX: prefix, MAX_BACKLOG: maxBacklog } = config;
  const redis = connectRedis(url, "request", log);
  const subscriber = connectRedis(url, "request", log);
  const backend = createBackend(redis, subscriber, prefix, maxBacklog, sealer, log, toQuotas(config));
  const both = [redis, subscriber];
  const ready = both.map((r) => withDeadline(once(r, "ready"), FIRST_CONNECT_MS, "connecting").catch(() => undefined));
  return {
    backend,
    connected: Promise.all(ready),
    async close() {
      await backend.close();
      await Promise.all(both.map(closeRedis));
    },
  };
}
