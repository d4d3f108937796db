import { once } from "node:events";
import type { Redis } from "ioredis";
import type { Log } from "../../shared/util/log.ts";
import { type Moves, openMoves } from "../../shared/moves/moves.ts";
import { closeRedis, connectRedis, explain, type RedisConfig } from "../../shared/redis/redis.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import { withDeadline } from "../../shared/util/sleep.ts";
import { type Backend, createBackend } from "./backend.ts";
import type { FunctionsConfig } from "../config/node-config.ts";
import { toBounds } from "../config/backlog-env.ts";
import { toQuotas } from "../config/quotas.ts";

/** How long a host waits for Redis before it answers, ms: Redis connects in a few milliseconds, or not at all. */
const FIRST_CONNECT_MS = 1000;

/** A backend on its own two connections to Redis, one of them for subscriptions. They heal by themselves. */
export interface ConnectedBackend {
  backend: Backend;
  /** Resolves once both are connected, or the time for that is over: every response says how Redis is. */
  connected: Promise<unknown>;
  /** The moves of units between CADs. @param prefixes those of the CADs, by their ids */
  moves(prefixes: ReadonlyMap<string, string>): Moves;
  close(): Promise<void>;
}

/** A backend whose failed calls give the reason why there is no connection, if it is known. */
function explained(backend: Backend, redis: Redis): Backend {
  const fail = (error: unknown): never => {
    throw explain(redis, error);
  };
  const calls = Object.entries(backend).map(([name, call]: [string, (...args: unknown[]) => unknown]) => {
    const withReason = (...args: unknown[]) => {
      const answer = call(...args);
      return answer instanceof Promise ? answer.catch(fail) : answer;
    };
    return [name, withReason] as const;
  });
  // Each call takes and answers what it did: TypeScript cannot see that of entries.
  return Object.fromEntries(calls) as unknown as Backend;
}

export function connectBackend(
  config: RedisConfig &
    Pick<FunctionsConfig, "REDIS_PREFIX"> &
    Parameters<typeof toQuotas>[0] &
    Parameters<typeof toBounds>[0],
  sealer: Sealer,
  log: Log,
): ConnectedBackend {
  const { REDIS_PREFIX: prefix } = config;
  const redis = connectRedis(config, "request", log);
  const subscriber = connectRedis(config, "request", log);
  const backend = explained(
    createBackend(redis, subscriber, prefix, toBounds(config), sealer, log, toQuotas(config)),
    redis,
  );
  const both = [redis, subscriber];
  const ready = both.map((r) => withDeadline(once(r, "ready"), FIRST_CONNECT_MS, "connecting").catch(() => undefined));
  return {
    backend,
    connected: Promise.all(ready),
    moves: (prefixes) => openMoves(redis, prefix, sealer, prefixes),
    async close() {
      await backend.close();
      await Promise.all(both.map(closeRedis));
    },
  };
}
