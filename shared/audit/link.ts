import type { Redis } from "ioredis";
import { defineScript, object, objects, openScript, string, stringsByName } from "../redis/script.ts";
import { idAfter, timeOfId } from "../redis/stream-id.ts";
import { type ChainKeys, GENESIS, hashOf, type Mark, NO_KEY, same, sealOf } from "./chain.ts";
import { createSealer, type Sealer } from "../sealing/seal.ts";
import { COPIES_MS, createCopies, doubtOfEntry } from "./authentic.ts";
import type { StoredEntry } from "./entry.ts";
import type { AuditKeys } from "./keys.ts";

const KEYS = "AUDIT_KEY or PAYLOAD_KEYS";

/** A stored mark with its seal. */
export interface SealedMark extends Mark {
  sealedBy: string;
  seal: string;
}

/** Reads the chain's head or anchor; undefined if there is none. */
export async function readMark(redis: Redis, key: string): Promise<SealedMark | undefined> {
  const [id, hash, by, count, sealedBy, seal] = await redis.hmget(
    key,
    "id",
    "hash",
    "by",
    "count",
    "sealed_by",
    "seal",
  );
  if (!id || !hash || !by) return undefined;
  return { id, hash, by, count: Number(count), sealedBy: sealedBy ?? "", seal: seal ?? "" };
}

/**
 * Adds links if the head is unchanged since the caller read it, so that concurrent writers extend one chain.
 */
const LINK = defineScript(
  "auditLink",
  {
    /** The head as the caller saw it. */
    seen: object("seen", { id: string, hash: string }),
    /** Its new fields. */
    head: stringsByName,
    /** `forged`: '1' or ''. */
    links: objects("link", { id: string, hash: string, by: string, n: string, forged: string }),
  },
  `#!lua flags=allow-oom
local base = KEYS[1]
local head = base .. ':audit:head'
local was = redis.call('HMGET', head, 'id', 'hash')
local seen = args.seen
if (was[1] or '0-0') ~= seen.id or (was[2] or '') ~= seen.hash then return 0 end
for _, link in ipairs(args.links) do
  local forged = {}
  if link.forged ~= '' then forged = {'forged', link.forged} end
  redis.call('XADD', base .. ':audit:links', link.id, 'hash', link.hash, 'by', link.by, 'n', link.n, unpack(forged))
end
for name, value in pairs(args.head) do redis.call('HSET', head, name, value) end
return 1`,
);

/** Removes everything up to a link, which becomes the anchor: the chain starts after it. `keepFrom`: the first id to keep. */
const TRIM = defineScript(
  "auditTrim",
  { keepFrom: string, anchor: stringsByName },
  `#!lua flags=allow-oom
local base = KEYS[1]
for name, value in pairs(args.anchor) do redis.call('HSET', base .. ':audit:anchor', name, value) end
redis.call('XTRIM', base .. ':audit:links', 'MINID', '=', args.keepFrom)
return redis.call('XTRIM', base .. ':audit', 'MINID', '=', args.keepFrom)`,
);

/** The stored form of a mark; the count as text, since Lua would write a large number with an exponent. */
const toFields = ({ id, hash, by, count }: Mark, sealedBy: string, seal: string) => ({
  ...{ id, hash, by, count: String(count) },
  ...{ sealed_by: sealedBy, seal },
});

/** Maintains the hash chain of the entries. */
export interface AuditChain {
  /**
   * Links up to `most` unlinked entries; returns their number. Throws an Error for a head that no worker wrote, and once for one
   * that was set back.
   */
  extend(most: number): Promise<number>;
  /** Removes chained entries older than `ms`; returns their number. Throws an Error for a link that no worker made. */
  trim(ms: number): Promise<number>;
  /** Throws an Error for a head that no worker wrote. */
  head(): Promise<SealedMark | undefined>;
}

/** The key that makes links is always a known one. */
function must(hash: string | undefined): string {
  if (hash === undefined) throw new TypeError("the key that makes links is not among the known ones");
  return hash;
}

export interface AuditChainSettings {
  /** `ID:HASH` of a head not written by a worker with these keys, which an operator vouches for. */
  adopt?: string | undefined;
  sealer?: Sealer;
  /** Called with the id of an entry that the bridge did not write. */
  onForged?(id: string): void;
}

export function openAuditChain(
  redis: Redis,
  keys: AuditKeys,
  secrets: ChainKeys,
  { adopt, sealer = createSealer([]), onForged = () => undefined }: AuditChainSettings = {},
): AuditChain {
  const link = openScript(redis, LINK, [keys.base]);
  const trimScript = openScript(redis, TRIM, [keys.base]);
  const { by } = secrets;
  /** The last known head of the chain. */
  let seen: Mark | undefined;
  /** Up to which entry this worker made links itself, and the copies known up to there. */
  let linked: string | undefined;
  let copies: ((entry: StoredEntry) => boolean) | undefined;

  /** Without a key, anyone could have written it. */
  const isOwn = (head: SealedMark): boolean =>
    (head.by === by || secrets.known.has(head.by)) && same(sealOf("head", head, head.by, secrets), head.seal);

  /** Without a key nothing can be verified; with the first key, an operator must confirm that the trail continues. */
  const mayAdopt = (head: SealedMark): boolean =>
    (by === NO_KEY && head.by !== NO_KEY && seen === undefined) ||
    (sealer.keyed && sealer.lenient && head.by === NO_KEY && seen === undefined) ||
    adopt === `${head.id}:${head.hash}`;

  /** Also reads entries shortly before the first link: a newly started worker knows no copies. */
  async function prepareCopies(before: string): Promise<(entry: StoredEntry) => boolean> {
    const isCopy = createCopies();
    if (!sealer.keyed) return isCopy;
    const from = Math.max(0, timeOfId(before) / 1000 - COPIES_MS);
    const earlier: StoredEntry[] = await redis.xrange(keys.entries, from, before, "COUNT", 20_000);
    for (const entry of earlier) if (!doubtOfEntry(sealer, keys.base, entry)) isCopy(entry);
    return isCopy;
  }

  /** Continuing from a forged head would authenticate it with the key. */
  async function readHead(): Promise<SealedMark | undefined> {
    const head = await readMark(redis, keys.head);
    if (head && !isOwn(head) && !mayAdopt(head))
      throw new Error(
        `the chain's head was not set by a worker with ${KEYS}; if \`npm run audit -- verify\` finds no other fault, set AUDIT_ADOPT=${head.id}:${head.hash}`,
      );
    return head;
  }

  /** The chain continues from here, and never from an earlier place. */
  function follow(head: SealedMark | undefined): void {
    const before = seen ?? GENESIS;
    seen = head ?? GENESIS;
    if (seen.count < before.count)
      throw new Error(`the chain was set back: it stood at ${before.id}:${before.hash}, which verify --seen takes`);
  }

  return {
    head: readHead,

    async extend(most) {
      const head = await readHead();
      follow(head);
      const before: Mark = head ?? GENESIS;
      const entries: StoredEntry[] = await redis.xrange(keys.entries, `(${before.id}`, "+", "COUNT", most);
      if (entries.length === 0) return 0;
      copies = linked === before.id && copies ? copies : await prepareCopies(before.id);
      let mark = before;
      const forgeries: string[] = [];
      const links = entries.map((entry) => {
        const doubt = doubtOfEntry(sealer, keys.base, entry);
        // A link made with a key that is not configured here is accepted: it cannot be verified.
        const forged = doubt === undefined ? copies?.(entry) === true : doubt.code !== "missing-key";
        if (forged) forgeries.push(entry[0]);
        const hash = must(hashOf(entry, mark.hash, by, secrets, forged));
        mark = { id: entry[0], hash, by, count: mark.count + 1 };
        return { id: entry[0], hash, by, n: String(mark.count), forged: forged ? "1" : "" };
      });
      const newHead = toFields(mark, by, must(sealOf("head", mark, by, secrets)));
      const seenHead = { id: before.id, hash: before.hash };
      linked = undefined;
      if ((await link({ seen: seenHead, head: newHead, links })) === 1) {
        seen = mark;
        linked = mark.id;
        for (const id of forgeries) onForged(id);
      }
      return entries.length;
    },

    async trim(ms) {
      const [seconds, micros] = await redis.time();
      const cutoff = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000) - ms;
      if (cutoff <= 0) return 0;
      const [last, previous] = await redis.xrevrange(keys.links, `(${cutoff}-0`, "-", "COUNT", 2);
      if (!last) return 0;
      const mark = parseLink(last);
      const { id, hash } = mark;
      const [entry] = await redis.xrange(keys.entries, id, id);
      const before = previous ? parseLink(previous) : ((await readMark(redis, keys.anchor)) ?? GENESIS);
      if (!entry || !same(hashOf(entry, before.hash, mark.by, secrets, mark.forged), hash))
        throw new Error(`the link ${id} does not fit its entry, or AUDIT_KEY lacks ${mark.by}: nothing was taken off`);
      const anchor = toFields(mark, by, must(sealOf("anchor", mark, by, secrets)));
      return Number(await trimScript({ keepFrom: idAfter(id), anchor }));
    },
  };
}

/** A link is also a mark: the end of the chain at its time. */
export function parseLink([id, fields]: StoredEntry): Mark {
  const [, hash = "", , by = "", , n, , forged] = fields;
  return { id, hash, by, count: Number(n), ...(forged === "1" && { forged: true }) };
}
