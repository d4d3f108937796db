import type { Redis } from "ioredis";

/** A place in Redis where one value stands: a field of a hash or of a stream's entry, a member of a list or set, or a whole text. */
export interface StoredField {
  /** Without the prefix. */
  key: string;
  type: string;
  field: string;
  /** Of a stream the entry's id, of a list or set the position. */
  at: string;
  value: string;
}

/** Every value that a bridge has in Redis. @param prefix REDIS_PREFIX */
export async function readFields(redis: Redis, prefix: string): Promise<StoredField[]> {
  const start = `{${prefix}}:`;
  const all: StoredField[] = [];
  for await (const page of redis.scanStream({ match: `${start}*`, count: 1000 }) as AsyncIterable<string[]>) {
    for (const full of new Set(page)) {
      const type = await redis.type(full);
      const rows = await readRows(redis, full, type);
      all.push(...rows.map((row) => ({ key: full.slice(start.length), type, ...row })));
    }
  }
  return all;
}

type Place = Pick<StoredField, "field" | "at" | "value">;

const members = (values: readonly string[]) => values.map((value, i) => ({ field: "value", at: String(i), value }));

async function readRows(redis: Redis, key: string, type: string): Promise<Place[]> {
  switch (type) {
    case "string":
      return members([(await redis.get(key)) ?? ""]);
    case "hash":
      return Object.entries(await redis.hgetall(key)).map(([field, value]) => ({ field, at: "", value }));
    case "list":
      return members(await redis.lrange(key, 0, -1));
    case "set":
      return members(await redis.smembers(key));
    case "zset":
      return members(await redis.zrange(key, "0", "-1"));
    case "stream": {
      const entries = await redis.xrange(key, "-", "+");
      return entries.flatMap(([id, list]) =>
        list.flatMap((name, i) => (i % 2 === 0 ? [{ field: name, at: id, value: list[i + 1] ?? "" }] : [])),
      );
    }
    default:
      return [];
  }
}

/** Puts another value into its place; `undo` puts all of the key back. */
export async function tamper(
  redis: Redis,
  prefix: string,
  place: StoredField,
  value: string,
): Promise<() => Promise<void>> {
  const key = `{${prefix}}:${place.key}`;
  const before = await redis.dumpBuffer(key);
  const left = await redis.pttl(key);
  const { type, field, at } = place;
  if (type === "hash") await redis.hset(key, field, value);
  else if (type === "string") await redis.set(key, value, "KEEPTTL");
  else if (type === "list") await redis.lset(key, Number(at), value);
  else if (type === "zset" || type === "set") {
    const score = type === "zset" ? await redis.zscore(key, place.value) : null;
    await (type === "zset" ? redis.zrem(key, place.value) : redis.srem(key, place.value));
    await (type === "zset" ? redis.zadd(key, score ?? "0", value) : redis.sadd(key, value));
  } else {
    const entries = await redis.xrange(key, "-", "+");
    const write = redis.multi().del(key);
    for (const [id, list] of entries) {
      const i = list.findIndex((name, n) => n % 2 === 0 && name === field);
      write.xadd(key, id, ...(id === at ? list.with(i + 1, value) : list));
    }
    await write.exec();
  }
  return async () => {
    // In one step: others write there meanwhile.
    if (before) await redis.restore(key, Math.max(0, left), before, "REPLACE");
    else await redis.del(key);
  };
}
