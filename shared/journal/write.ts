import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { NotOwner } from "../outbox/owned.ts";
import type { Log } from "../util/log.ts";
import { redisFault, whyFailed } from "../redis/fault.ts";
import {
  type ArgumentsOf,
  defineScript,
  boolean,
  integer,
  objects,
  openScript,
  optional,
  type ScriptReply,
  string,
} from "../redis/script.ts";
import type { Sealer } from "../sealing/seal.ts";
import { sleep } from "../util/sleep.ts";
import type { Micros } from "../util/time.ts";
import type { JournalEntry, NewEntry } from "./entry.ts";
import type { JournalKeys } from "./keys.ts";
import { openIfAuthentic, storeClear } from "../sealing/clear.ts";
import { journalSealId, openEntry, parseRow } from "./read.ts";
import { createRedisClock } from "../redis/clock.ts";
import { trimJournal } from "./trim.ts";
import { NO_TRACER, type Span, type Tracer } from "../tracing/tracer.ts";
import { beginEntry, storeTrace, tracesOfCommands } from "./traces.ts";

/** How long a CAD's event id is remembered, ms: longer than any replay reaches back. */
export const SEEN_MS = 24 * 3_600_000;

/**
 * True if a batch that Redis acknowledged is missing (`has`: token and number of the last one): a replica that lagged behind took
 * over. The leader is then ahead of Redis, so it loses the lease, and the next leader starts from what is stored.
 */
const SET_BACK = `
local base = KEYS[1]
local function set_back(has, token, batch)
  if tonumber(batch) == 0 or (has[1] == token and tonumber(has[2]) >= tonumber(batch)) then return false end
  redis.call('DEL', base .. ':lease', base .. ':owner')
  return true
end`;

/** An entry as it is stored. `keys` and `wrong`: JSON; times: us. */
const ENTRY = {
  ...{
    eventId: string,
    kind: string,
    event: string,
    ref: string,
    keys: string,
    payload: string,
    occurred: string,
    received: string,
  },
  ...{ own: string, recovered: string, wrong: string, n: string },
  /** Of entries with the same one, only the first is written; ''. */
  fact: string,
  trace: optional(string),
} as const;

/**
 * KEYS[1]: the base name. `batch` counts 1, 2, 3...; `again`: it was sent before.
 *
 * Returns {'not-owner'} or {'written', id, id...}; the id of a duplicate is ''. A batch that is repeated because its reply was
 * lost is written once, even if Redis receives it after the next one, or the connection repeats it. A first attempt cannot
 * exist already: {'ahead', batch} means that something else wrote to Redis.
 */
const WRITE = defineScript(
  "journalWrite",
  {
    ...{
      token: string,
      batch: integer,
      again: boolean,
      seenMs: integer,
      keptMs: integer,
      maxEntries: integer,
      cad: string,
    },
    entries: objects("entry", ENTRY),
  },
  `#!lua
${SET_BACK}
local ref = args.entries[1].ref
if redis.call('GET', base .. ':owner') ~= args.token then return {'not-owner'} end
local prior = redis.call('HMGET', base .. ':written', 'token', 'batch', 'answer', 'ref')
if prior[1] == args.token and tonumber(prior[2]) >= args.batch then
  -- A reconnected client repeats unanswered calls unchanged, with the same random ref: that is no stranger's batch.
  if not args.again and prior[4] ~= ref then return {'ahead', prior[2]} end
  return cjson.decode(prior[3])
end
if set_back(prior, args.token, args.batch - 1) then return {'not-owner'} end
local answer = {'written'}
local last
local function first(name)
  return name == '' or redis.call('SET', base .. ':seen:' .. name, 1, 'NX', 'PX', args.seenMs)
end
for _, entry in ipairs(args.entries) do
  local id = ''
  if first(entry.eventId) and first(entry.fact) then
    id = redis.call('XADD', base .. ':journal', '*', 'kind', entry.kind, 'event', entry.event, 'ref', entry.ref,
      'keys', entry.keys, 'payload', entry.payload, 'occurred', entry.occurred, 'received', entry.received,
      'own', entry.own, 'recovered', entry.recovered, 'wrong', entry.wrong, 'event_id', entry.eventId, 'cad', args.cad,
      'n', entry.n, unpack(entry.trace and {'trace', entry.trace} or {}))
    last = id
  end
  answer[#answer + 1] = id
end
if last then
  local clock = redis.call('TIME')
  redis.call('XTRIM', base .. ':journal', 'MINID', '~', string.format('%.0f', clock[1] * 1000 - args.keptMs))
  redis.call('XTRIM', base .. ':journal', 'MAXLEN', '~', args.maxEntries)
  -- Without the right to publish, readers poll: what was written stays.
  redis.pcall('PUBLISH', base .. ':journalled', last)
end
redis.call('HSET', base .. ':written', 'token', args.token, 'batch', args.batch, 'answer', cjson.encode(answer),
  'ref', ref)
return answer`,
);

/**
 * Records until when everything the CAD sent is known to be in the journal. `batch`: the last one; `note`: as stored, see
 * FORMAT.md.
 */
const NOTE_COMPLETE = defineScript(
  "journalComplete",
  { token: string, batch: integer, note: string },
  `#!lua flags=allow-oom
${SET_BACK}
if redis.call('GET', base .. ':owner') ~= args.token then return 0 end
if set_back(redis.call('HMGET', base .. ':written', 'token', 'batch'), args.token, args.batch) then return 0 end
redis.call('SET', base .. ':heard', args.note)
return 1`,
);

/** Returns {Redis's time (us), note}; the note is '' if none was ever stored. */
const CLOCK = defineScript(
  "journalClock",
  {},
  `#!lua flags=no-writes,allow-oom
local clock = redis.call('TIME')
return {string.format('%.0f', clock[1] * 1000000 + clock[2]), redis.call('GET', KEYS[1] .. ':heard') or ''}`,
);

export interface JournalOptions {
  redis: Redis;
  keys: JournalKeys;
  sealer: Sealer;
  /** Of the lease; only its holder may write. */
  token: string;
  /** The CAD's scheme and host. */
  cad: string;
  keptMs: number;
  maxEntries: number;
  /** See JournalBounds. */
  maxBytes: number;
  signal: AbortSignal;
  log: Log;
  /** Called for data in Redis that differs from what this bridge wrote. */
  onForged?(what: string): void;
  tracer?: Tracer;
}

/** Write access to the journal, for the leader only. */
export interface JournalWriter {
  /**
   * Writes the entries in this order, all or none, and retries while Redis is down. Returns each as stored, undefined for a
   * duplicate. One call at a time. Throws NotOwner, also when the signal aborts.
   */
  append(entries: readonly NewEntry[]): Promise<(JournalEntry | undefined)[]>;
  /**
   * Records that everything the CAD sent until then, by Redis's clock, is in the journal. A time, not an age: Redis may
   * receive this long after it was sent.
   */
  noteComplete(until: Micros): Promise<void>;
  /** What was recorded last (undefined if never), and the current time by Redis's clock. */
  completeUntil(): Promise<{ until: Micros | undefined; now: Micros }>;
  /** Since when writing fails, and why; undefined while it works. */
  standstill(): { since: Date; reason: string } | undefined;
}

/** Interval of trimming the journal by size, ms. */
const TRIM_MS = 30_000;
/** The same while Redis is full and needs the memory. */
const TRIM_FULL_MS = 1000;

/** The newest entry's time of receipt and number, and whether it is the CAD's. */
interface Newest {
  receivedAt: Micros;
  n: number;
  ofCad: boolean;
}
const NONE = { receivedAt: 0, n: 0, kind: "bridge" } as const;

/** The new entries among the given ones. */
interface Batch {
  all: Prepared[];
  isNew: boolean[];
}

/** An entry in its stored form, with its context. */
interface Prepared {
  stored: ArgumentsOf<typeof ENTRY>;
  ref: string;
  entry: Omit<JournalEntry, "id" | "cad" | "size" | "n"> & { n: number };
  size: number;
  span: Span | undefined;
}

export function openJournalWriter(options: JournalOptions): JournalWriter {
  const { redis, keys, sealer, token, cad, keptMs, maxEntries, maxBytes, tracer = NO_TRACER, signal, log } = options;
  const write = openScript(redis, WRITE, [keys.cad]);
  const noteComplete = openScript(redis, NOTE_COMPLETE, [keys.cad]);
  const readClock = openScript(redis, CLOCK, [keys.cad]);
  const clock = createRedisClock(redis);
  /** The newest entry's time of receipt, us, and number. */
  let newest: Newest | undefined;
  let batches = 0;
  let answered = { batches: 0, n: 0 };
  let trimmedAt = -Infinity;
  let standing: { since: Date; reason: string } | undefined;

  /** At most once per `everyMs`. A failed trim is repeated next time. */
  async function trim(everyMs: number): Promise<void> {
    if (performance.now() - trimmedAt < everyMs) return;
    trimmedAt = performance.now();
    await trimJournal(redis, keys, { keptMs, maxEntries, maxBytes }).catch((error: unknown) =>
      log.warn({ reason: whyFailed(error) }, "the journal was not trimmed"),
    );
  }

  /** The next entry is later even if Redis's clock was set back, and follows the noted number even if the end was cut off. */
  async function readNewest(): Promise<Newest> {
    const [[row], note] = await Promise.all([
      redis.xrevrange(keys.journal, "+", "-", "COUNT", 1),
      redis.get(keys.heard),
    ]);
    const opened = row && (await openEntry(sealer, parseRow(row, keys.journal)).catch(() => undefined));
    const last = opened && !opened.forged ? opened : NONE;
    const noted = openNote(note ?? "")?.n ?? 0;
    const n = Math.max(last.n ?? 0, noted);
    if (last.n !== undefined && last.n > 0 && noted > last.n) options.onForged?.(`end of the journal`);
    return { receivedAt: last.receivedAt, n, ofCad: last.kind !== "bridge" };
  }

  /** The last note: until when the journal is complete, and how many entries there had been in total. */
  function openNote(stored: string): { heard: Micros; n: number } | undefined {
    const text = openIfAuthentic(sealer, "heard", keys.heard, stored, () => options.onForged?.("heard"));
    const [, heard, n] = /^(\d{1,16})(?: (\d{1,15}))?$/.exec(text ?? "") ?? [];
    return heard === undefined ? undefined : { heard: Number(heard), n: Number(n ?? 0) };
  }

  /** Which of them are new: duplicates get no number, so that the numbers have no gaps. */
  async function areNew(entries: readonly NewEntry[]): Promise<boolean[]> {
    const names = entries.map(({ eventId, fact }) =>
      [eventId, fact].filter((name) => name !== undefined && name !== ""),
    );
    const seen = new Set<string | undefined>();
    return Promise.all(
      names.map(async (its) => {
        const again = its.some((name) => seen.has(name));
        for (const name of its) seen.add(name);
        return (
          !again && (its.length === 0 || (await redis.exists(its.map((name) => `${keys.cad}:seen:${name}`))) === 0)
        );
      }),
    );
  }

  /** The supposed echoes whose command exists in this bridge, with their traces. */
  async function ownCommands(entries: readonly NewEntry[]): Promise<ReadonlyMap<string, string | undefined>> {
    const ids = [...new Set(entries.flatMap(({ own }) => own ?? []))];
    return ids.length === 0
      ? new Map()
      : tracesOfCommands(redis, keys, sealer, ids, (what) => options.onForged?.(what));
  }

  async function prepare(entries: readonly NewEntry[], calledAt: number): Promise<Batch> {
    const [now, own, isNew] = await Promise.all([clock(), ownCommands(entries), areNew(entries)]);
    let { receivedAt, n } = (newest ??= await readNewest());
    const waited = performance.now() - calledAt;
    const dated = entries
      .filter((_, i) => isNew[i])
      .map((entry) => {
        receivedAt = Math.max(receivedAt + 1, now - Math.round((entry.ageMs + waited) * 1000));
        n += 1;
        const { own: about, ageMs, ...rest } = entry;
        const ofCommand = about !== undefined && own.has(about) ? { traceparent: own.get(about) } : undefined;
        const span = beginEntry(tracer, entry, ofCommand, ageMs + waited);
        const { traceparent } = span ?? {};
        const stored = {
          ...rest,
          own: ofCommand && about,
          receivedAt,
          n,
          ...(traceparent !== undefined && { traceparent }),
        };
        return { entry: stored, span };
      });
    const all = await Promise.all(dated.map(toPrepared));
    newest = { receivedAt, n, ofCad: true };
    return { all, isNew };
  }

  async function toPrepared({ entry, span }: Pick<Prepared, "entry" | "span">): Promise<Prepared> {
    const ref = randomUUID();
    const keysText = JSON.stringify(entry.keys);
    const recovered = entry.recovered === undefined ? "" : entry.recovered ? "1" : "0";
    const [occurred, wrong] = [String(entry.occurredAt ?? ""), JSON.stringify(entry.wrong)];
    const at = String(entry.receivedAt);
    const sealId = journalSealId(keys.journal, {
      ...{ ref, kind: entry.kind, event: entry.event, keys: keysText, occurred, recovered, wrong },
      ...{ eventId: entry.eventId ?? "", cad, received: at, own: entry.own ?? "", n: String(entry.n) },
    });
    const payload = await sealer.seal("journal", sealId, JSON.stringify(entry.payload ?? null));
    const stored = {
      ...{ eventId: entry.eventId ?? "", kind: entry.kind, event: entry.event, ref, keys: keysText, payload, occurred },
      ...{ received: at, own: entry.own ?? "", recovered, wrong, fact: entry.fact ?? "", n: String(entry.n) },
      trace: storeTrace(sealer, keys.journal, ref, span),
    };
    return { stored, ref, entry, size: payload.length, span };
  }

  /** Whether Redis has them under the ids it returned. */
  async function areThere(ids: readonly string[], prepared: readonly Prepared[]): Promise<boolean> {
    const there = await Promise.all(
      ids.map(async (id, i) => {
        if (id === "") return true;
        const [row] = await redis.xrange(keys.journal, id, id);
        return row?.[1][row[1].indexOf("ref") + 1] === prepared[i]?.ref;
      }),
    );
    return ids.length === prepared.length && there.every(Boolean);
  }

  async function writeOnce(entries: readonly NewEntry[]): Promise<Batch & { ids: string[] }> {
    const calledAt = performance.now();
    let batch: Batch | undefined;
    for (let attempt = 1, sent = false; ; attempt += 1) {
      try {
        if (!batch) {
          batch = await prepare(entries, calledAt);
          if (batch.all.length === 0) return { ...batch, ids: [] };
          batches += 1;
        }
        const prepared = batch.all;
        const again = sent;
        sent = true;
        const settings = { token, seenMs: SEEN_MS, keptMs, maxEntries, cad };
        const ask = { ...settings, batch: batches, again, entries: prepared.map(({ stored }) => stored) };
        const [outcome, ...ids] = asList(await write(ask)).map(String);
        if (outcome === "ahead" && Number.isSafeInteger(Number(ids[0]))) {
          batches = Number(ids[0]) + 1;
          sent = false;
          continue;
        }
        const believed = outcome === "written" && (!again || (await areThere(ids, prepared)));
        if (!believed) throw new NotOwner();
        for (const { span } of prepared) span?.end();
        standing = undefined;
        return { ...batch, ids };
      } catch (error) {
        if (error instanceof NotOwner) throw error;
        standing = { since: standing?.since ?? new Date(), reason: whyFailed(error) };
        if (redisFault(error) === "full") await trim(TRIM_FULL_MS);
        if (attempt === 1)
          log.warn({ reason: redisFault(error) ?? whyFailed(error) }, "the journal cannot be written: retrying");
        await sleep(Math.min(50 * attempt, 1000), signal);
        if (signal.aborted) throw new NotOwner();
      }
    }
  }

  return {
    async append(entries) {
      const { ids, all, isNew } = await writeOnce(entries);
      answered = { batches, n: newest?.n ?? 0 };
      await trim(TRIM_MS);
      const written = all.map(({ entry, size }, i) => {
        const id = ids[i] ?? "";
        return id === "" ? undefined : { ...entry, id, cad, size };
      });
      return isNew.map((is) => (is ? written.shift() : undefined));
    },
    standstill: () => standing,
    async noteComplete(until) {
      newest ??= await readNewest();
      const n = Math.max(answered.n, answered.batches === 0 ? newest.n : 0);
      const note = storeClear(sealer, "heard", keys.heard, `${until} ${n}`);
      await noteComplete({ token, batch: answered.batches, note });
    },
    async completeUntil() {
      const [now, note] = asList(await readClock());
      newest ??= await readNewest();
      // If the note was changed or deleted, only the journal tells, and only its CAD entries.
      const known = newest.receivedAt > 0 && newest.ofCad ? newest.receivedAt : undefined;
      return { now: Number(now), until: openNote(String(note))?.heard ?? known };
    },
  };
}

const asList = (reply: ScriptReply): ScriptReply[] => (Array.isArray(reply) ? reply : []);
