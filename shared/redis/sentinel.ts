import { Redis, type RedisOptions } from "ioredis";
import type { SentinelAddress } from "../config/redis-url.ts";

/** Longest pause before all Sentinels are asked again, ms. */
const ASK_AGAIN_MS = 500;

/**
 * A connection to the master named by the Sentinels. They are asked on every connect and report a failover: an old master that
 * returns or thaws is left before anything is written to it.
 */
export function openSentinels(
  address: SentinelAddress,
  options: Omit<RedisOptions, "replyMapping">,
  tls: RedisOptions["tls"],
): Redis {
  const { sentinels, name, db, username, password, sentinelUsername, sentinelPassword } = address;
  return new Redis({
    ...options,
    sentinels,
    name,
    db,
    role: "master",
    failoverDetector: true,
    sentinelRetryStrategy: (n: number) => Math.min(50 * n, ASK_AGAIN_MS),
    sentinelReconnectStrategy: (n: number) => Math.min(100 * n, 2000),
    ...(options.connectTimeout !== undefined && { sentinelCommandTimeout: options.connectTimeout }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(sentinelUsername !== undefined && { sentinelUsername }),
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    ...(address.tls && { tls: tls ?? {}, enableTLSForSentinelMode: true }),
    ...(address.sentinelTls && { sentinelTLS: tls ?? {} }),
  });
}
