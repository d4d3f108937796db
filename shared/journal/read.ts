import type { Redis } from "ioredis";
import type { OrderingKey } from "../ordering-key.ts";
import { SealError, type Sealer } from "../seal.ts";
import { ENTRY_KINDS, type JournalEntry } from "./entry.ts";
import type { JournalKeys } from "./keys.ts";

/** Before the first entry. */
export const START = "0-0";

export interface JournalBounds {
  /** The oldest entry that is still there; undefined if there is none. */
  oldest: string | undefined;
  /** The newest id that was ever given; START if none was. */
  newest: string;
  /** True if entries were removed since they are too old or too many. */
  trimmed: boolean;
}

/** The side of the journal that anyone may read. Throws SealError for what is sealed with a key that is not there. */
export interface JournalReader {
  /** What follows an id, the oldest first. */
  after(id: string, limit: number): Promise<JournalEntry[]>;
  /** What precedes an id (or the end, if there is none), the newest first. */
  before(id: string | undefined, limit: number): Promise<JournalEntry[]>;
  get(id: string): Promise<JournalEntry | undefined>;
  bounds(): Promise<JournalBounds>;
}

type Row = [id: string, fields: string[]];

export function openJournalReader(redis: Redis, keys: JournalKeys, sealer: Sealer): JournalReader {
  async function parse([id, list]: Row): Promise<JournalEntry> {
    const fields = new Map<string, string>();
    for (let i = 0; i + 1 < list.length; i += 2) fields.set(list[i] ?? "", list[i + 1] ?? "");
    const text = (name: string) => fields.get(name) ?? "";
    const kind = ENTRY_KINDS.find((k) => k === text("kind")) ?? "unknown";
    const recovered = text("recovered");
    const wrong = JSON.parse(text("wrong") || "[]") as string[];
    let payload: unknown = null;
    try {
      payload = JSON.parse(await sealer.open("journal", text("ref"), text("payload")));
    } catch (error) {
      if (!(error instanceof SealError) || error.code !== "tampered") throw error;
      wrong.push(error.message);
    }
    return {
      id,
      kind: wrong.length > 0 ? "malformed" : kind,
      event: text("event"),
      keys: JSON.parse(text("keys") || "[]") as OrderingKey[],
      payload,
      occurredAt: text("occurred") ? Number(text("occurred")) : undefined,
      receivedAt: Number(text("received")),
      eventId: text("event_id") || undefined,
      own: text("own") || undefined,
      recovered: recovered === "" ? undefined : recovered === "1",
      wrong,
      cad: text("cad"),
    };
  }
  const parseAll = (rows: Row[]) => Promise.all(rows.map(parse));

  return {
    after: async (id, limit) => parseAll(await redis.xrange(keys.journal, `(${id}`, "+", "COUNT", limit)),
    before: async (id, limit) =>
      parseAll(await redis.xrevrange(keys.journal, id === undefined ? "+" : `(${id}`, "-", "COUNT", limit)),
    async get(id) {
      const [row] = await redis.xrange(keys.journal, id, id, "COUNT", 1);
      return row && (await parse(row));
    },
    async bounds() {
      const [oldest, info] = await Promise.all([
        redis.xrange(keys.journal, "-", "+", "COUNT", 1),
        // A journal that nothing was ever written to is no key yet.
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

/** True for a text that is the id of an entry. */
export const isEntryId = (text: string): boolean => /^\d{1,16}-\d{1,16}$/.test(text);

/** Negative, zero or positive, as the first id comes before the second, is it, or comes after it. */
export function compareIds(a: string, b: string): number {
  const [aMs = 0, aN = 0] = a.split("-").map(Number);
  const [bMs = 0, bN = 0] = b.split("-").map(Number);
  return aMs - bMs || aN - bN;
}
