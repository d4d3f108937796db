import { Redis } from "ioredis";

export interface Probe {
  /** The Redis version it is compatible with; undefined without permission to ask. */
  version: string | undefined;
  /** NaN without permission to ask. */
  pid: number;
}

/** Reads a Redis's version and pid; rejects if it does not answer in time, is still loading or refuses the password. */
export async function probeRedis(url: string, withinMs: number): Promise<Probe> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: withinMs,
    commandTimeout: withinMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let reason: Error | undefined;
  redis.on("error", (error: Error) => (reason ??= error));
  try {
    await redis.connect();
    await redis.ping();
    const info = await redis.info("server").catch(() => "");
    return { version: /^redis_version:(\S+)/m.exec(info)?.[1], pid: Number(/^process_id:(\d+)/m.exec(info)?.[1]) };
  } catch (error) {
    // "Connection is closed" hides the reason, which was emitted as an event.
    throw reason ?? error;
  } finally {
    redis.disconnect();
  }
}

/** Deletes every key that starts with `{PREFIX}:`, as all of this project's keys do. */
export async function forgetPrefix(url: string, prefix: string): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1, commandTimeout: 5_000 });
  redis.on("error", () => undefined); // the pending command rejects
  try {
    for (let cursor = "0", first = true; first || cursor !== "0"; first = false) {
      const [next, keys] = await redis.scan(cursor, "MATCH", `{${prefix}}:*`, "COUNT", 1_000);
      if (keys.length > 0) await redis.unlink(...keys);
      cursor = next;
    }
  } finally {
    redis.disconnect();
  }
}
