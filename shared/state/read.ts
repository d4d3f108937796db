import type { Redis } from "ioredis";
import type { JournalKeys } from "../journal/keys.ts";
import type { Room } from "../ordering-key.ts";
import { SealError, type Sealer } from "../seal.ts";
import type { Micros } from "../time.ts";
import { CLEAR_ASPECTS, stateSealId } from "./apply.ts";

/** The newest that is known of one aspect. */
export interface Aspect {
  value: unknown;
  /** When it came about. */
  at: Micros;
  /** Why the value cannot be told: it is sealed with a key that is not there, or was changed. */
  unreadable?: string;
}

/** What is known of a unit or an incident. */
export interface StateRecord {
  id: string;
  aspects: Record<string, Aspect>;
}

export type StateKind = "unit" | "incident";

export interface StateQuery {
  /** In either case. */
  status?: string | undefined;
  /** How many a page holds at most. It may hold fewer although there are more: `next` tells. */
  limit: number;
  /** `next` of the page before. Units and incidents may come and change meanwhile; none is told twice or skipped. */
  after?: string | undefined;
}
export interface StatePage {
  records: StateRecord[];
  next: string | undefined;
}

export interface StateReader {
  get(kind: StateKind, id: string): Promise<StateRecord | undefined>;
  /** By their ids, in the order of their bytes. */
  list(kind: StateKind, query: StateQuery): Promise<StatePage>;
}

const CHUNK = 200;
/** How many ids one request looks at, at most. */
const LOOK_AT = 5000;

export function openStateReader(redis: Redis, keys: JournalKeys, sealer: Sealer): StateReader {
  async function open(about: Room, aspect: string, stored: string, at: Micros): Promise<Aspect> {
    try {
      const text = CLEAR_ASPECTS.has(aspect) ? stored : await sealer.open("state", stateSealId(about, aspect), stored);
      return { value: JSON.parse(text) as unknown, at };
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      return { value: null, at, unreadable: error.message };
    }
  }

  async function get(kind: StateKind, id: string): Promise<StateRecord | undefined> {
    const about = `${kind}:${id}` as const;
    const fields = new Map(Object.entries(await redis.hgetall(keys.state(about))));
    const opened = [...fields].flatMap(([aspect, stored]) => {
      const at = fields.get(`@${aspect}`);
      return at === undefined
        ? []
        : [open(about, aspect, stored, Number(at)).then((known) => [aspect, known] as const)];
    });
    return opened.length === 0 ? undefined : { id, aspects: Object.fromEntries(await Promise.all(opened)) };
  }

  /** Those of the ids that have the status. */
  async function withStatus(kind: StateKind, ids: readonly string[], status: string | undefined): Promise<string[]> {
    if (status === undefined) return [...ids];
    const texts = await Promise.all(ids.map((id) => redis.hget(keys.state(`${kind}:${id}`), "status")));
    const wanted = status.toLowerCase();
    return ids.filter((_, i) => String(JSON.parse(texts[i] ?? "null")).toLowerCase() === wanted);
  }

  return {
    get,
    async list(kind, { status, limit, after }) {
      const records: StateRecord[] = [];
      let last = after;
      for (let looked = 0; looked < LOOK_AT; looked += CHUNK) {
        const from = last === undefined ? "-" : `(${last}`;
        const ids = await redis.zrangebylex(keys.all(kind), from, "+", "LIMIT", 0, CHUNK);
        const fitting = await withStatus(kind, ids, status);
        const taken = fitting.slice(0, limit - records.length);
        const found = await Promise.all(taken.map((id) => get(kind, id)));
        // One of which nothing was heard for long is in the list for a while yet.
        records.push(...found.filter((record) => record !== undefined));
        const tookAll = taken.length === fitting.length;
        if (tookAll && ids.length < CHUNK) return { records, next: undefined };
        last = tookAll ? ids.at(-1) : taken.at(-1);
        if (records.length >= limit) return { records, next: last };
      }
      return { records, next: last };
    },
  };
}
