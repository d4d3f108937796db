import type { Redis } from "ioredis";
import { UNREADABLE } from "../util/json.ts";
import type { JournalKeys } from "../journal/keys.ts";
import type { Room } from "../vocabulary/ordering-key.ts";
import { openClear } from "../sealing/clear.ts";
import { SealError, type Sealer } from "../sealing/seal.ts";
import { scanPage } from "../util/scan-page.ts";
import type { Micros } from "../util/time.ts";
import { CLEAR_ASPECTS, stateSealId } from "./apply.ts";

/** The newest value of one aspect. */
export interface Aspect {
  value: unknown;
  /** Time of the value. */
  at: Micros;
  /** Why the value cannot be read: its key is missing, or it was changed. */
  unreadable?: string;
}

/** The state of a unit or an incident. */
export interface StateRecord {
  id: string;
  aspects: Record<string, Aspect>;
}

export type StateKind = "unit" | "incident";

export interface StateQuery {
  /** Only these units, and their incidents: `next` names another one only after LOOK_AT of them. Absent: all. */
  units?: readonly string[] | undefined;
  /** Case-insensitive. */
  status?: string | undefined;
  /** Maximum size of a page. It may contain fewer although there are more: see `next`. */
  limit: number;
  /** `next` of the previous page. Concurrent changes cause no duplicates and no omissions. */
  after?: string | undefined;
}
export interface StatePage {
  records: StateRecord[];
  next: string | undefined;
}

/** The units that were assigned to an incident, or named it with their status; forged values do not count, since they grant access. */
export function unitsOf({ aspects }: StateRecord): Set<string> {
  const names = Object.entries(aspects).flatMap(([name, { unreadable }]) =>
    unreadable === undefined ? (/^(?:unit|assigned):(.*)$/s.exec(name)?.[1] ?? []) : [],
  );
  return new Set(names);
}

/** Whether it is one of these units, or an incident of one of them. */
export function isOf(units: readonly string[], kind: StateKind, record: StateRecord): boolean {
  const about = kind === "unit" ? new Set([record.id]) : unitsOf(record);
  return units.some((unit) => about.has(unit));
}

export interface StateReader {
  get(kind: StateKind, id: string): Promise<StateRecord | undefined>;
  /** Sorted by id, bytewise. */
  list(kind: StateKind, query: StateQuery): Promise<StatePage>;
}

const CHUNK = 200;
/** Maximum number of ids read per request. */
const LOOK_AT = 5000;

export function openStateReader(redis: Redis, keys: JournalKeys, sealer: Sealer): StateReader {
  async function open(about: Room, aspect: string, stored: string, at: Micros): Promise<Aspect> {
    try {
      const sealId = stateSealId(keys, about, aspect, at);
      const text = CLEAR_ASPECTS.has(aspect)
        ? openClear(sealer, "state", sealId, stored)
        : await sealer.open("state", sealId, stored);
      return { value: JSON.parse(text) as unknown, at };
    } catch (error) {
      if (error instanceof SyntaxError) return { value: null, at, unreadable: UNREADABLE };
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

  /** The ids that have the status. */
  async function withStatus(kind: StateKind, ids: readonly string[], status: string | undefined): Promise<string[]> {
    if (status === undefined) return [...ids];
    const wanted = status.toLowerCase();
    const known = await Promise.all(
      ids.map(async (id) => {
        const about = `${kind}:${id}` as const;
        const [stored, at] = await redis.hmget(keys.state(about), "status", "@status");
        return typeof stored === "string" ? (await open(about, "status", stored, Number(at))).value : null;
      }),
    );
    return ids.filter((_, i) => String(known[i]).toLowerCase() === wanted);
  }

  /** The ids that match and their state; reads no more than fit on the page. */
  async function matchIds(kind: StateKind, ids: readonly string[], room: number, { units, status }: StateQuery) {
    const fitting = await withStatus(kind, ids, status);
    // The units of an incident are only known after reading it.
    const taken = units === undefined ? fitting.slice(0, room) : fitting;
    const read = await Promise.all(taken.map((id) => get(kind, id)));
    // A deleted record stays in the list for a while.
    const records = new Map(read.flatMap((record) => (record ? [[record.id, record] as const] : [])));
    const decided = taken.length === fitting.length ? ids : ids.slice(0, ids.indexOf(taken.at(-1) ?? "") + 1);
    return decided.map((id) => {
      const record = records.get(id);
      return record && (units === undefined || isOf(units, kind, record)) ? record : undefined;
    });
  }

  return {
    get,
    async list(kind, query) {
      const { found, next } = await scanPage({
        async read(last: string | undefined) {
          const from = last === undefined ? "-" : `(${last}`;
          const rows = await redis.zrangebylex(keys.all(kind), from, "+", "LIMIT", 0, CHUNK);
          return { rows, more: rows.length === CHUNK };
        },
        match: (ids, room) => matchIds(kind, ids, room, query),
        cursorOf: (id) => id,
        after: query.after,
        limit: query.limit,
        lookAt: LOOK_AT,
      });
      return { records: found, next };
    },
  };
}
