import type { Redis } from "ioredis";
import { z } from "zod";
import { parseJson } from "../util/json.ts";
import { toIso } from "../util/time.ts";
import { type ChainKeys, GENESIS, type Mark } from "./chain.ts";
import { parseEntry, storedEntry } from "./entry.ts";
import { timeOfId } from "../redis/stream-id.ts";
import type { AuditKeys } from "./keys.ts";
import { parseLink, readMark } from "./link.ts";
import { chainFrom, merged, type Noted, type Verdict } from "./verify.ts";

/** A line of an export: an entry and its place in the chain; `hash` is null if it is not linked yet. */
const exported = z.object({
  id: z.string().regex(/^\d+-\d+$/),
  ...{ user: z.string(), role: z.string(), action: z.string(), about: z.array(z.string()), outcome: z.string() },
  ...{ command: z.string(), request: z.string(), address: z.string(), nth: z.number() },
  ...{ issued: z.string().optional(), mac: z.string().optional(), forged: z.literal(true).optional() },
  before: z.string(),
  hash: z.string().nullable(),
  by: z.string(),
  n: z.number(),
});

/** The entries as JSON lines, oldest first. @param range milliseconds since 1970 by Redis's clock, inclusive */
export async function* exportTrail(
  redis: Redis,
  keys: AuditKeys,
  range: { since?: number | undefined; until?: number | undefined },
): AsyncGenerator<string> {
  const from = range.since === undefined ? "-" : String(range.since);
  let mark = await markBefore(redis, keys, from);
  for await (const { entry, link } of merged(redis, keys, from, String(range.until ?? "+"))) {
    if (!entry) continue;
    const parsed = parseEntry(entry);
    const [id, fields] = entry;
    const at = { before: mark.hash, hash: link?.hash ?? null, by: link?.by ?? "", n: link?.count ?? 0 };
    const place = link?.forged ? { ...at, forged: true } : at;
    yield JSON.stringify({ at: toIso(timeOfId(id)), ...(parsed ?? { id, unknown: fields }), ...place });
    mark = link ?? mark;
  }
}

async function markBefore(redis: Redis, keys: AuditKeys, from: string): Promise<Mark> {
  if (from !== "-") {
    const [link] = await redis.xrevrange(keys.links, `(${from}-0`, "-", "COUNT", 1);
    if (link) return parseLink(link);
  }
  return (await readMark(redis, keys.anchor)) ?? GENESIS;
}

/** Verifies an export from its first line to its last; it knows nothing about entries before and after it. */
export async function verifyExport(lines: AsyncIterable<string>, secrets: ChainKeys, noted?: Noted): Promise<Verdict> {
  let chain: ReturnType<typeof chainFrom> | undefined;
  const head: Mark = { ...GENESIS };
  let unlinked: string | undefined;
  for await (const text of lines) {
    if (text === "") continue;
    const line = exported.safeParse(parseJson(text)).data;
    if (!line) return { ok: false, id: head.id, what: "is followed by a line that is not an entry of an export" };
    const { before, hash, by, n, forged, issued, mac, ...rest } = line;
    const entry = mac === undefined ? rest : { ...rest, issued: issued ?? "", mac };
    chain ??= chainFrom({ ...GENESIS, hash: before, count: n - 1 }, head, secrets, noted);
    if (hash === null) {
      unlinked ??= line.id;
      chain.unlinked(line.id);
      continue;
    }
    if (unlinked) return { ok: false, id: unlinked, what: "was inserted: the chain does not have it" };
    const bad = chain.next(storedEntry(entry), { id: line.id, hash, by, count: n, ...(forged && { forged }) });
    if (bad) return bad;
    Object.assign(head, { id: line.id, hash, by, count: n });
  }
  return (chain ?? chainFrom(GENESIS, head, secrets, noted)).end();
}
