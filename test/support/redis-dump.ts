import type { Redis } from "ioredis";

/** Everything that Redis holds whose key has `prefix` in it, names of keys included, as one text to search in. */
export async function dumpRedis(redis: Redis, prefix: string): Promise<string> {
  const lines: string[] = [];
  for await (const page of redis.scanStream({ match: `*${prefix}*`, count: 1000 }) as AsyncIterable<string[]>) {
    for (const key of page) lines.push(`${key} ${JSON.stringify(await readAny(redis, key))}`);
  }
  return lines.toSorted().join("\n");
}

async function readAny(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key);
  switch (type) {
    case "string":
      return redis.get(key);
    case "hash":
      return redis.hgetall(key);
    case "list":
      return redis.lrange(key, 0, -1);
    case "set":
      return redis.smembers(key);
    case "zset":
      return redis.zrange(key, "0", "-1", "WITHSCORES");
    case "stream":
      return redis.xrange(key, "-", "+");
    // It lapsed meanwhile.
    case "none":
      return null;
    default:
      throw new Error(`${key} is a ${type}, which the dump cannot read yet`);
  }
}
