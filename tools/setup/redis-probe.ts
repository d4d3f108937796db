import { Redis } from "ioredis";

export interface Probe {
  /** The version of Redis that it is compatible with; undefined if it may not be asked. */
  version: string | undefined;
  /** NaN if it may not be asked. */
  pid: number;
}

/** Asks a Redis what it is; rejects if it does not answer in time, is still loading or refuses the password. */
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
    // "Connection is closed" hides why: the reason came as an event.
    throw reason ?? error;
  } finally {
    redis.disconnect();
  }
}

/** Deletes every key that begins with `{PREFIX}:`, which is how this project's keys begin. */
export async function forgetPrefix(url: string, prefix: string): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1, commandTimeout: 5_000 });
  redis.on("error", () => undefined); // the command that it is about rejects
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
