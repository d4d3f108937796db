import type { Redis } from "ioredis";
import { defineScript, integer, openScript, type ScriptReply, string } from "../redis/script.ts";
import { SealError, type Sealer } from "../sealing/seal.ts";
import { scanPage } from "../util/scan-page.ts";
import type { Micros } from "../util/time.ts";
import type { JournalEntry } from "./entry.ts";
import { type EntryFilter, entryMatches } from "./filter.ts";
import type { JournalKeys } from "./keys.ts";
import {
  inOrder,
  LIST,
  openEntry,
  PAGE_BYTES,
  parseRow,
  READ,
  type Row,
  type SealedEntry,
  withoutPayload,
} from "./read.ts";
import { compareIds, idTime, START } from "../redis/stream-id.ts";

/** The entries after a position. */
export type Followed =
  /** `position`: the last of them, or the current end if there are none; `more`: there may be more. */
  | { outcome: "page"; entries: JournalEntry[]; position: string; more: boolean }
  /** Completeness is unknown: entries were removed, or the journal never contained this id. */
  | Gone
  /** A payload cannot be opened, and why. */
  | { outcome: "unreadable"; reason: string };
export interface Gone {
  outcome: "gone";
  /** The oldest remaining entry. */
  oldest: string | null;
}

export interface EntryQuery {
  filter: EntryFilter;
  /** Maximum number of entries of a page. There may be fewer although more follow: see `next`. */
  limit: number;
  first: "newest" | "oldest";
  /** By the time at which the journal stored it. */
  since?: Micros | undefined;
  until?: Micros | undefined;
  /** `next` of the previous page. */
  after?: string | undefined;
}
export type Listed = { outcome: "page"; entries: JournalEntry[]; next: string | undefined } | Gone;

/** The journal in pages limited in number and size, for readers over HTTP. */
export interface JournalPages {
  /** The entries after a position, without gaps, oldest first; without a position, the current end of the journal. */
  follow(after: string | undefined, limit: number): Promise<Followed>;
  list(query: EntryQuery): Promise<Listed>;
  get(id: string): Promise<JournalEntry | undefined>;
}

const CHUNK = 200;
/** Maximum number of entries per request, and of comparisons of an entry's names, units or incidents with the filter. */
const LOOK_AT = 5000;
const COMPARE = 25_000;

/** How many entries may be read for a filter: 80 reads with 50 patterns each blocked everything for seconds (measured). */
export function lookAtMost({ events = [], units = [], incidents = [] }: EntryFilter): number {
  const each = Math.max(1, events.length + units.length + incidents.length);
  return Math.min(LOOK_AT, Math.ceil(COMPARE / each));
}

/**
 * `after`: an id, '' for the end. Returns {'page', position, more, rows} or {'gone', oldest}.
 * The sequence after an id is complete if the journal contains that id, if it is the newest ever assigned, or if it is 0-0 and
 * nothing was removed.
 */
const FOLLOW = defineScript(
  "journalFollow",
  { after: string, limit: integer, bytes: integer },
  `#!lua flags=no-writes
${READ}
local id, known = args.after, false
if id ~= '' then known = #redis.call('XRANGE', journal, id, id) == 1 end
if not known then
  local newest, whole = '0-0', true
  if redis.call('EXISTS', journal) == 1 then
    local info, list = {}, redis.call('XINFO', 'STREAM', journal)
    for i = 1, #list, 2 do info[list[i]] = list[i + 1] end
    newest, whole = info['last-generated-id'], info['entries-added'] == info['length']
  end
  if id == '' then return {'page', newest, 0, {}} end
  if id ~= newest and not (id == '0-0' and whole) then
    local first = redis.call('XRANGE', journal, '-', '+', 'COUNT', 1)[1]
    return {'gone', first and first[1] or ''}
  end
end
local rows, more = read('XRANGE', '(' .. id, '+', args.limit, args.bytes)
return {'page', #rows > 0 and rows[#rows][1] or id, more, rows}`,
);

// The scripts return rows as XRANGE does.
const toRows = (journal: string, reply: ScriptReply | undefined): SealedEntry[] =>
  (reply as Row[]).map((row) => parseRow(row, journal));

export function openJournalPages(redis: Redis, keys: JournalKeys, sealer: Sealer): JournalPages {
  const follow = openScript(redis, FOLLOW, [keys.cad]);
  const list = openScript(redis, LIST, [keys.cad]);

  /** An entry that cannot be opened contains the reason, and does not affect the rest of the page. */
  const openOrExplain = (sealed: SealedEntry) =>
    openEntry(sealer, sealed).catch((error: unknown) => {
      if (error instanceof SealError) return withoutPayload(sealed.entry, error);
      throw error;
    });

  async function openAll(found: readonly SealedEntry[], first: EntryQuery["first"]): Promise<JournalEntry[]> {
    const opened = await Promise.all(found.map(openOrExplain));
    if (first === "oldest") return inOrder(sealer, undefined, opened);
    return inOrder(sealer, undefined, opened.toReversed()).toReversed();
  }

  async function readRows({ first, since, until }: EntryQuery, after: string | undefined) {
    // Redis rejects a range that ends before the first possible id.
    if (first === "newest" && after !== undefined && compareIds(after, START) === 0) return { rows: [], more: false };
    const least = since === undefined ? "-" : idTime(since);
    const most = until === undefined ? "+" : idTime(until);
    const [command, begin, to] =
      first === "newest" ? (["XREVRANGE", most, least] as const) : (["XRANGE", least, most] as const);
    const from = after === undefined ? begin : `(${after}`;
    const ask = { command, from, to, limit: CHUNK, bytes: PAGE_BYTES };
    const [more, reply] = (await list(ask)) as [number, ScriptReply];
    return { rows: toRows(keys.journal, reply), more: more === 1 };
  }

  return {
    async get(id) {
      const rows = await redis.xrevrange(keys.journal, id, "-", "COUNT", 2);
      const opened = await Promise.all(rows.map((row) => openOrExplain(parseRow(row, keys.journal))));
      return inOrder(sealer, undefined, opened.toReversed()).find((entry) => entry.id === id);
    },

    async follow(after, limit) {
      const reply = (await follow({ after: after ?? "", limit, bytes: PAGE_BYTES })) as ScriptReply[];
      if (reply[0] === "gone") return { outcome: "gone", oldest: String(reply[1]) || null };
      try {
        const opened = await Promise.all(toRows(keys.journal, reply[3]).map((row) => openEntry(sealer, row)));
        const entries = inOrder(sealer, undefined, opened);
        return { outcome: "page", entries, position: String(reply[1]), more: reply[2] === 1 };
      } catch (error) {
        if (!(error instanceof SealError)) throw error;
        return { outcome: "unreadable", reason: error.message };
      }
    },

    async list(query) {
      const { filter, limit, after, first } = query;
      if (after !== undefined && first === "oldest") {
        // What followed the previous page may have been removed meanwhile: the page would have a gap.
        const at = (await follow({ after, limit: 1, bytes: 0 })) as ScriptReply[];
        if (at[0] === "gone") return { outcome: "gone", oldest: String(at[1]) || null };
      }
      const { found, next } = await scanPage({
        read: (last: string | undefined) => readRows(query, last),
        match: (rows) => rows.map((row) => (entryMatches(row.entry, filter) ? row : undefined)),
        cursorOf: (row) => row.entry.id,
        after,
        limit,
        lookAt: lookAtMost(filter),
        maxSize: PAGE_BYTES,
        sizeOf: (row) => row.stored.length,
      });
      return { outcome: "page", entries: await openAll(found, first), next };
    },
  };
}
