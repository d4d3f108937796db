import type { Redis } from "ioredis";
import { compareIds, timeOfId } from "../redis/stream-id.ts";
import { type ChainKeys, GENESIS, hashOf, type Mark, NO_KEY, same, sealOf } from "./chain.ts";
import type { StoredEntry } from "./entry.ts";
import type { AuditKeys } from "./keys.ts";
import { parseLink, readMark, type SealedMark } from "./link.ts";

/** A fault of the trail, and the first entry that shows it. */
export interface BadTrail {
  ok: false;
  id: string;
  what: string;
}
export interface GoodTrail {
  ok: true;
  /** Number of entries verified, and of those too new to be in the chain. */
  checked: number;
  unlinked: number;
  /** When the oldest of those was written. */
  oldestUnlinked: number | undefined;
  first: string | undefined;
  head: Mark;
  /** Entries since the noted mark that the worker found forged when it linked them. */
  forged: string[];
}
export type Verdict = GoodTrail | BadTrail;

const PAGE = 1000;
const HOLDERS = "AUDIT_KEY and PAYLOAD_KEYS do";

/** A mark kept elsewhere, which must still be in the chain. */
export type Noted = Pick<Mark, "id" | "hash">;

/** Verifies every entry against the chain. Read-only; safe to run at any time. */
export async function verifyTrail(redis: Redis, keys: AuditKeys, secrets: ChainKeys, noted?: Noted): Promise<Verdict> {
  for (;;) {
    const anchor = await readMark(redis, keys.anchor);
    const verdict = await verifyFrom(anchor, redis, keys, secrets, noted);
    if (verdict.ok || (await readMark(redis, keys.anchor))?.id === anchor?.id) return verdict;
    // Entries were trimmed meanwhile: retry from the new start.
  }
}

async function verifyFrom(
  anchor: SealedMark | undefined,
  redis: Redis,
  keys: AuditKeys,
  secrets: ChainKeys,
  noted: Noted | undefined,
): Promise<Verdict> {
  const begun = anchor !== undefined || (await redis.xlen(keys.links)) > 0;
  const head = await readMark(redis, keys.head);
  if (begun && !head) return { ok: false, id: GENESIS.id, what: "the chain's head was removed" };
  const wrong = wrongMark("anchor", anchor, secrets) ?? wrongMark("head", head, secrets);
  if (wrong) return wrong;
  const chain = chainFrom(anchor ?? GENESIS, head ?? GENESIS, secrets, noted);
  // Up to the head that was read: later entries may be linked meanwhile.
  for await (const { entry, link } of merged(redis, keys, "-", head?.id ?? GENESIS.id)) {
    const bad = chain.next(entry, link);
    if (bad) return bad;
  }
  for await (const [id] of pages(redis, keys.entries, `(${head?.id ?? GENESIS.id}`, "+")) chain.unlinked(id);
  return chain.end();
}

/** A start or an end that the bridge did not set. */
function wrongMark(what: "head" | "anchor", mark: SealedMark | undefined, secrets: ChainKeys): BadTrail | undefined {
  if (!mark || secrets.keyless) return undefined;
  if (secrets.known.size > 0 && mark.sealedBy === NO_KEY)
    return bad(mark.id, `the chain's ${what} is there without a key, although AUDIT_KEY is set`);
  const seal = sealOf(what, mark, mark.sealedBy, secrets);
  if (seal === undefined)
    return bad(mark.id, `the chain's ${what} needs the key ${mark.sealedBy}, which ${HOLDERS} not hold`);
  return same(seal, mark.seal) ? undefined : bad(mark.id, `the chain's ${what} was changed`);
}

const bad = (id: string, what: string): BadTrail => ({ ok: false, id, what });

/** Follows the chain from its start to its head, both for Redis and for an export. */
export function chainFrom(begin: Mark, head: Mark, secrets: ChainKeys, noted?: Noted) {
  let mark = begin;
  let checked = 0;
  let unlinked = 0;
  let oldestUnlinked: number | undefined;
  let first: string | undefined;
  let forged: string[] = [];
  let keyed = begin.by !== NO_KEY;
  let seen = noted === undefined || compareIds(noted.id, begin.id) <= 0;

  return {
    /** An entry too new to be in the chain. */
    unlinked(id: string): void {
      unlinked += 1;
      oldestUnlinked ??= timeOfId(id);
    },
    next(entry: StoredEntry | undefined, link: Mark | undefined): BadTrail | undefined {
      const id = entry?.[0] ?? link?.id ?? "";
      if (!entry) return bad(id, "was removed: the chain has it, the trail has not");
      if (!link) return bad(id, "was inserted: the chain does not have it");
      if (keyed && link.by === NO_KEY)
        return bad(id, "is chained without a key, although others before it were with one");
      const hash = hashOf(entry, mark.hash, link.by, secrets, link.forged) ?? (secrets.keyless ? link.hash : undefined);
      if (hash === undefined) return bad(id, `needs the key ${link.by}, which ${HOLDERS} not hold`);
      if (link.count !== mark.count + 1)
        return bad(id, "does not follow the one before it: some between them were removed");
      if (!same(hash, link.hash)) return bad(id, "was changed, or does not follow the one before it");
      if (noted?.id === id) {
        if (noted.hash !== link.hash) return bad(id, "is not the one that was noted: the chain was written anew");
        seen = true;
      }
      if (link.forged) forged.push(id);
      if (noted?.id === id) forged = [];
      keyed ||= link.by !== NO_KEY;
      first ??= id;
      checked += 1;
      mark = link;
      return undefined;
    },
    end(): Verdict {
      if (mark.id !== head.id || mark.hash !== head.hash || mark.count !== head.count)
        return bad(head.id, "is the chain's head, but not its last entry: some were removed or added");
      if (!seen) return bad(noted?.id ?? "", "was noted, but is not in the chain: it was written anew, or cut off");
      return { ok: true, checked, unlinked, oldestUnlinked, first, head: mark, forged };
    },
  };
}

interface Pair {
  entry: StoredEntry | undefined;
  link: Mark | undefined;
}

/** Pairs entries and links by id; one without a counterpart is returned alone. */
export async function* merged(redis: Redis, keys: AuditKeys, from = "-", to = "+"): AsyncGenerator<Pair> {
  const entries = pages(redis, keys.entries, from, to);
  const links = pages(redis, keys.links, from, to);
  // Links first: an entry is always written before its link.
  let link = (await links.next()).value;
  let entry = (await entries.next()).value;
  while (entry || link) {
    const [left, right] = [entry, link];
    const takeEntry = left !== undefined && (right === undefined || compareIds(left[0], right[0]) <= 0);
    const takeLink = right !== undefined && (left === undefined || compareIds(right[0], left[0]) <= 0);
    yield { entry: takeEntry ? left : undefined, link: takeLink ? parseLink(right) : undefined };
    if (takeLink) link = (await links.next()).value;
    if (takeEntry) entry = (await entries.next()).value;
  }
}

async function* pages(redis: Redis, key: string, from: string, to: string): AsyncGenerator<StoredEntry, undefined> {
  for (let start = from; ;) {
    const page: StoredEntry[] = await redis.xrange(key, start, to, "COUNT", PAGE);
    yield* page;
    const last = page.at(-1);
    if (page.length < PAGE || !last) return undefined;
    start = `(${last[0]}`;
  }
}
