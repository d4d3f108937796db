import type { Redis } from "ioredis";
import { parseList, UNREADABLE } from "../util/json.ts";
import type { OrderingKey } from "../vocabulary/ordering-key.ts";
import { defineScript, integer, openScript, type ScriptReply, string } from "../redis/script.ts";
import { START, timeOfId } from "../redis/stream-id.ts";
import { SealError, type Sealer, tampered } from "../sealing/seal.ts";
import { ENTRY_KINDS, type JournalEntry } from "./entry.ts";
import type { JournalKeys } from "./keys.ts";
import { openEntryTrace } from "./traces.ts";

export interface JournalBounds {
  /** The oldest remaining entry; undefined if there is none. */
  oldest: string | undefined;
  /** The newest id ever assigned; START if none. */
  newest: string;
  /** True if old or surplus entries have been removed. */
  trimmed: boolean;
}

/** Read access to the journal. Throws SealError for data sealed with a missing key. */
export interface JournalReader {
  /** The entries after an id, oldest first, in pages limited in number and size; `more`: there may be more. */
  page(id: string, limit: number): Promise<{ entries: JournalEntry[]; more: boolean }>;
  bounds(): Promise<JournalBounds>;
  /** The entry with this id, or the last one before it; undefined if there is none. */
  upTo(id: string): Promise<string | undefined>;
}

export type Row = [id: string, fields: string[]];

/** The stored fields that are authenticated together with the payload. */
export interface SealedFields {
  ref: string;
  kind: string;
  event: string;
  keys: string;
  occurred: string;
  recovered: string;
  wrong: string;
  eventId: string;
  cad: string;
  received: string;
  own: string;
  n: string;
}

/**
 * The additional data of an entry's payload; its id is not known yet. Binds the payload to its event, time, units and readers:
 * whoever can write to Redis cannot present it as another event's or unit's.
 * @param journal the journal's key
 */
export const journalSealId = (journal: string, fields: SealedFields): string =>
  JSON.stringify(
    ["3", ...olderFields(journal, fields), fields.received, fields.own, fields.n].map((text) => text.toWellFormed()),
  );

/** The forms of earlier versions, newest first: without a number; the oldest authenticated fewer fields. */
function olderSealIds(journal: string, fields: SealedFields): string[] {
  if (fields.n !== "") return [];
  const older = olderFields(journal, fields);
  const all = [["2", ...older, fields.received, fields.own], older];
  return all.map((values) => JSON.stringify(values.map((text) => text.toWellFormed())));
}

// As stored by Redis, which drops lone surrogates.
const olderFields = (journal: string, { ref, kind, event, keys, ...f }: SealedFields): string[] => [
  ...[journal, ref, kind, event, keys, f.occurred, f.recovered, f.wrong, f.eventId, f.cad],
];

/** An entry whose payload has not been opened yet. */
export interface SealedEntry {
  entry: Omit<JournalEntry, "payload">;
  sealId: string;
  olderIds: string[];
  stored: string;
  openTrace(sealer: Sealer): string | undefined;
}

/** @param journal the journal's key */
export function parseRow([id, list]: Row, journal: string): SealedEntry {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < list.length; i += 2) fields.set(list[i] ?? "", list[i + 1] ?? "");
  const text = (name: string) => fields.get(name) ?? "";
  const recovered = text("recovered");
  const entry = {
    id,
    kind: ENTRY_KINDS.find((k) => k === text("kind")) ?? "unknown",
    event: text("event"),
    keys: (parseList(text("keys")) ?? []) as OrderingKey[],
    occurredAt: Number(text("occurred")) || undefined,
    receivedAt: Number(text("received")) || timeOfId(id),
    n: Number(text("n")) || undefined,
    eventId: text("event_id") || undefined,
    own: text("own") || undefined,
    recovered: recovered === "" ? undefined : recovered === "1",
    wrong: parseList(text("wrong")) ?? [UNREADABLE],
    cad: text("cad"),
    size: text("payload").length,
  };
  const sealed = {
    ...{ ref: text("ref"), kind: text("kind"), event: text("event"), keys: text("keys"), occurred: text("occurred") },
    ...{ recovered, wrong: text("wrong"), eventId: text("event_id"), cad: text("cad") },
    ...{ received: text("received"), own: text("own"), n: text("n") },
  };
  return {
    entry,
    sealId: journalSealId(journal, sealed),
    olderIds: olderSealIds(journal, sealed),
    stored: text("payload"),
    openTrace: (sealer) => openEntryTrace(sealer, journal, text("ref"), text("trace")),
  };
}

/** Maximum error of the estimate of Redis's clock by the worker, us; the same as for a command. */
const CLOCKS_US = 10_000_000;

/** Adds the payload; a changed entry has none and is malformed. Throws SealError if a key is missing. */
export async function openEntry(
  sealer: Sealer,
  { entry, sealId, olderIds, stored, openTrace }: SealedEntry,
): Promise<JournalEntry> {
  try {
    const text = await openAny(sealer, [sealId, ...olderIds.slice(0, sealer.lenient ? 2 : 1)], stored);
    const payload: unknown = JSON.parse(text);
    // Redis assigns the ids, so an id older than `received` means that the entry was moved.
    if (sealer.keyed && timeOfId(entry.id) + CLOCKS_US < entry.receivedAt) throw tampered("event");
    const traceparent = openTrace(sealer);
    const kind = entry.wrong.length > 0 ? "malformed" : entry.kind;
    return { ...entry, kind, payload, ...(traceparent !== undefined && { traceparent }) };
  } catch (error) {
    if (error instanceof SyntaxError) return withoutPayload(entry, new Error(UNREADABLE));
    if (!(error instanceof SealError) || error.code !== "tampered") throw error;
    return { ...withoutPayload(entry, error), forged: true };
  }
}

/** Opens what is sealed with one of these ids. */
async function openAny(sealer: Sealer, [id = "", ...others]: readonly string[], stored: string): Promise<string> {
  try {
    return await sealer.open("journal", id, stored);
  } catch (error) {
    if (others.length === 0 || !(error instanceof SealError) || error.code !== "tampered") throw error;
    return openAny(sealer, others, stored);
  }
}

/** An entry whose payload cannot be opened, with the reason. */
export const withoutPayload = (entry: SealedEntry["entry"], error: Error): JournalEntry => ({
  ...entry,
  kind: "malformed",
  payload: null,
  wrong: [...entry.wrong, error.message],
});

/**
 * Checks the order of entries. One that was not received later than its predecessor was moved or copied: Redis assigns ids, but
 * the time of receipt is sealed.
 * @param before the entry before the first of them
 */
export function inOrder(sealer: Sealer, before: JournalEntry | undefined, entries: JournalEntry[]): JournalEntry[] {
  if (!sealer.keyed || sealer.lenient) return entries;
  let newest = before && !before.forged ? before.receivedAt : 0;
  return entries.map((entry) => {
    if (entry.forged) return entry;
    if (entry.receivedAt <= newest) return { ...withoutPayload(entry, tampered("event")), forged: true };
    newest = entry.receivedAt;
    return entry;
  });
}

/** For complete sequences: adds how many entries are missing before each, by their numbers. */
export function withMissing(before: JournalEntry | undefined, entries: readonly JournalEntry[]): JournalEntry[] {
  let number = before?.forged ? undefined : before?.n;
  return entries.map((entry) => {
    if (entry.forged) return entry;
    const missing = number === undefined || entry.n === undefined ? 0 : entry.n - number - 1;
    number = entry.n;
    return missing > 0 ? { ...entry, missing } : entry;
  });
}

/** A page ends at this size of stored data, bytes: the largest payload has about 4 MB. */
export const PAGE_BYTES = 2_000_000;

/** Reads rows up to a count or size; a few at a time, since their size is only known after reading. */
export const READ = `
local journal = KEYS[1] .. ':journal'
local function read(command, from, to, limit, most)
  local rows, bytes = {}, 0
  while #rows < limit and bytes < most do
    local chunk = redis.call(command, journal, from, to, 'COUNT', math.min(4, limit - #rows))
    if #chunk == 0 then return rows, 0 end
    for _, row in ipairs(chunk) do
      rows[#rows + 1] = row
      for _, text in ipairs(row[2]) do bytes = bytes + #text end
    end
    from = '(' .. chunk[#chunk][1]
  end
  return rows, 1
end`;

/** `command`: XRANGE or XREVRANGE. Returns {more, rows}. */
export const LIST = defineScript(
  "journalList",
  { command: string, from: string, to: string, limit: integer, bytes: integer },
  `#!lua flags=no-writes
${READ}
local rows, more = read(args.command, args.from, args.to, args.limit, args.bytes)
return {more, rows}`,
);

export function openJournalReader(redis: Redis, keys: JournalKeys, sealer: Sealer): JournalReader {
  const list = openScript(redis, LIST, [keys.cad]);
  const open = (row: Row) => openEntry(sealer, parseRow(row, keys.journal));
  /** The last entry of the previous page. */
  let last: JournalEntry | undefined;

  /** The entry with this id, or the one before it. */
  async function upTo(id: string): Promise<JournalEntry | undefined> {
    if (last?.id === id || !sealer.keyed || sealer.lenient) return last;
    const [row] = await redis.xrevrange(keys.journal, id, "-", "COUNT", 1);
    return row && (await open(row));
  }

  return {
    async page(id, limit) {
      const [[more, rows], before] = await Promise.all([
        list({ command: "XRANGE", from: `(${id}`, to: "+", limit, bytes: PAGE_BYTES }) as Promise<
          [number, ScriptReply]
        >,
        upTo(id),
      ]);
      const opened = inOrder(sealer, before, await Promise.all((rows as Row[]).map(open)));
      const entries = sealer.keyed ? withMissing(before, opened) : opened;
      // Without its payload, which may be large.
      last = entries.length > 0 ? { ...(entries.at(-1) as JournalEntry), payload: null } : last;
      return { entries, more: more === 1 };
    },
    upTo: async (id) => (await redis.xrevrange(keys.journal, id, "-", "COUNT", 1))[0]?.[0],
    async bounds() {
      const [oldest, info] = await Promise.all([
        redis.xrange(keys.journal, "-", "+", "COUNT", 1),
        // A journal that was never written to does not exist as a key.
        redis.xinfo("STREAM", keys.journal).catch((error: Error) => {
          if (error.message.includes("no such key")) return [];
          throw error;
        }) as Promise<unknown[]>,
      ]);
      const known = (name: string) => info[info.indexOf(name) + 1];
      if (info.length === 0) return { oldest: undefined, newest: START, trimmed: false };
      return {
        oldest: oldest[0]?.[0],
        newest: String(known("last-generated-id")),
        trimmed: Number(known("entries-added")) > Number(known("length")),
      };
    },
  };
}
