import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { NotOwner } from "../outbox/owned.ts";
import type { Log } from "../util/log.ts";
import { redisFault, whyFailed } from "../redis/fault.ts";
import { script, type ScriptReply } from "../redis/redis.ts";
import type { Sealer } from "../sealing/seal.ts";
import { sleep } from "../util/sleep.ts";
import type { Micros } from "../util/time.ts";
import type { JournalEntry, NewEntry } from "./entry.ts";
import type { JournalKeys } from "./keys.ts";
import { journalSealId, openEntry, parseRow } from "./read.ts";
import { createRedisClock } from "../redis/clock.ts";
import { trimJournal } from "./trim.ts";

/** How long a CAD's event id is remembered, ms: longer than any replay reaches back. */
export const SEEN_MS = 24 * 3_600_000;

/**
 * True if of what was written (`has`: token and batch) a batch is not there that Redis answered: a replica took over that lagged behind. What the owner has in memory, of the
 * journal and of all else, is ahead of Redis then. So it loses the CAD, and the next one begins with what there is.
 */
const SET_BACK = `
local base = KEYS[1]
local function set_back(has, token, batch)
  if tonumber(batch) == 0 or (has[1] == token and tonumber(has[2]) >= tonumber(batch)) then return false end
  redis.call('DEL', base .. ':lease', base .. ':owner')
  return true
end`;

/**
 * KEYS[1] the base name, ARGV: owner token, batch (1, 2, 3...), '1' if it was sent before, seen_ms, kept_ms, most entries, cad, then
 * for each entry: event id, kind, event, ref, keys, payload, occurred ('' or us), received (us), own, recovered ('', '1', '0'), wrong,
 * fact ('' or what it tells, whoever tells it: told once). Answers {'not-owner'} or {'written', id, id...}; the id of one that was
 * seen before is ''. A batch that is asked for again, since its answer was lost, is written once; also one that Redis gets to see
 * only after the next one, and one that the connection itself sends again. Another one that is asked for the first time cannot be
 * there: {'ahead', batch} tells that somebody wrote to Redis.
 */
const WRITE = `#!lua
${SET_BACK}
if redis.call('GET', base .. ':owner') ~= ARGV[1] then return {'not-owner'} end
local prior = redis.call('HMGET', base .. ':written', 'token', 'batch', 'answer', 'ref')
if prior[1] == ARGV[1] and tonumber(prior[2]) >= tonumber(ARGV[2]) then
  -- A connection that broke sends what had no answer again as it was, with the same random ref: that is no stranger's batch.
  if ARGV[3] ~= '1' and prior[4] ~= ARGV[11] then return {'ahead', prior[2]} end
  return cjson.decode(prior[3])
end
if set_back(prior, ARGV[1], ARGV[2] - 1) then return {'not-owner'} end
local answer = {'written'}
local last
local function first(name)
  return name == '' or redis.call('SET', base .. ':seen:' .. name, 1, 'NX', 'PX', ARGV[4])
end
for i = 8, #ARGV, 12 do
  local event_id, id = ARGV[i], ''
  if first(event_id) and first(ARGV[i + 11]) then
    id = redis.call('XADD', base .. ':journal', '*', 'kind', ARGV[i + 1], 'event', ARGV[i + 2], 'ref', ARGV[i + 3],
      'keys', ARGV[i + 4], 'payload', ARGV[i + 5], 'occurred', ARGV[i + 6], 'received', ARGV[i + 7], 'own', ARGV[i + 8],
      'recovered', ARGV[i + 9], 'wrong', ARGV[i + 10], 'event_id', event_id, 'cad', ARGV[7])
    last = id
  end
  answer[#answer + 1] = id
end
if last then
  local clock = redis.call('TIME')
  redis.call('XTRIM', base .. ':journal', 'MINID', '~', string.format('%.0f', clock[1] * 1000 - tonumber(ARGV[5])))
  redis.call('XTRIM', base .. ':journal', 'MAXLEN', '~', ARGV[6])
  -- Without the right to publish, readers look by themselves: what was written stands.
  redis.pcall('PUBLISH', base .. ':journalled', last)
end
redis.call('HSET', base .. ':written', 'token', ARGV[1], 'batch', ARGV[2], 'answer', cjson.encode(answer),
  'ref', ARGV[11])
return answer`;

/** Notes until when everything that the CAD sent is known to be in the journal. ARGV: owner token, last batch, that time (us). */
const HEARD = `#!lua flags=allow-oom
${SET_BACK}
if redis.call('GET', base .. ':owner') ~= ARGV[1] then return 0 end
if set_back(redis.call('HMGET', base .. ':written', 'token', 'batch'), ARGV[1], ARGV[2]) then return 0 end
redis.call('SET', base .. ':heard', ARGV[3])
return 1`;

/** Answers {now, heard}, by Redis's clock, us; heard is '' if nothing was noted ever. */
const CLOCK = `#!lua flags=no-writes,allow-oom
local clock = redis.call('TIME')
return {string.format('%.0f', clock[1] * 1000000 + clock[2]), redis.call('GET', KEYS[1] .. ':heard') or ''}`;

export interface JournalOptions {
  redis: Redis;
  keys: JournalKeys;
  sealer: Sealer;
  /** The owner's; nobody else may write. */
  token: string;
  /** The scheme and host of the CAD. */
  cad: string;
  keptMs: number;
  maxEntries: number;
  /** See JournalBounds. */
  maxBytes: number;
  signal: AbortSignal;
  log: Log;
}

/** The side of the journal that only the owner of the CAD may touch. */
export interface JournalWriter {
  /**
   * Writes them in this order, all or none, and tries again while Redis is away; answers with each as it stands in the
   * journal, undefined for one that was there already. One call at a time. Throws NotOwner; also when the signal aborts.
   */
  append(entries: readonly NewEntry[]): Promise<(JournalEntry | undefined)[]>;
  /**
   * Everything that the CAD sent until then, by Redis's clock, is in the journal. A time and no age: Redis may get to see this
   * long after it was sent.
   */
  heard(until: Micros): Promise<void>;
  /** Until when that was so (undefined if it never was), and what time it is now, by Redis's clock. */
  lastHeard(): Promise<{ heard: Micros | undefined; now: Micros }>;
  /** Since when nothing can be written, and why; undefined while it can. */
  standstill(): { since: Date; reason: string } | undefined;
}

/** How often the journal is trimmed by its size, ms. */
const TRIM_MS = 30_000;
/** The same while Redis is full: what it frees is needed now. */
const TRIM_FULL_MS = 1000;

/** An entry as it is to be stored, beside what it says. */
interface Prepared {
  args: string[];
  ref: string;
  entry: Omit<JournalEntry, "id" | "cad" | "size">;
  size: number;
}

export function openJournalWriter(options: JournalOptions): JournalWriter {
  const { redis, keys, sealer, token, cad, keptMs, maxEntries, maxBytes, signal, log } = options;
  const write = script(redis, "journalWrite", WRITE, [keys.cad]);
  const noteHeard = script(redis, "journalHeard", HEARD, [keys.cad]);
  const lastHeard = script(redis, "journalClock", CLOCK, [keys.cad]);
  const clock = createRedisClock(redis);
  /** When the newest entry was received, us. */
  let received: Micros | undefined;
  let batches = 0;
  let answered = 0;
  let trimmedAt = -Infinity;
  let standing: { since: Date; reason: string } | undefined;

  /** At most once in so long. What cannot be trimmed stays: the next time will do. */
  async function trim(everyMs: number): Promise<void> {
    if (performance.now() - trimmedAt < everyMs) return;
    trimmedAt = performance.now();
    await trimJournal(redis, keys, { keptMs, maxEntries, maxBytes }).catch((error: unknown) =>
      log.warn({ reason: whyFailed(error) }, "the journal was not trimmed"),
    );
  }

  /** When the newest entry was received: the next one was later, also by a clock of Redis that was set back. */
  async function newestReceived(): Promise<Micros> {
    const [row] = await redis.xrevrange(keys.journal, "+", "-", "COUNT", 1);
    const opened = row && (await openEntry(sealer, parseRow(row, keys.journal)).catch(() => undefined));
    return opened && !opened.forged ? opened.receivedAt : 0;
  }

  /** Of those that an entry is said to be the echo of: the ids of commands of this bridge. */
  async function ownCommands(entries: readonly NewEntry[]): Promise<ReadonlySet<string>> {
    const ids = [...new Set(entries.flatMap(({ own }) => own ?? []))];
    if (ids.length === 0) return new Set();
    const records = await Promise.all(ids.map((id) => redis.exists(`${keys.cad}:record:${id}`)));
    return new Set(ids.filter((_, i) => records[i] === 1));
  }

  async function prepare(entries: readonly NewEntry[], calledAt: number): Promise<Prepared[]> {
    const [now, own] = await Promise.all([clock(), ownCommands(entries)]);
    received ??= await newestReceived();
    const waited = performance.now() - calledAt;
    const dated = entries.map((entry) => {
      received = Math.max((received ?? 0) + 1, now - Math.round((entry.ageMs + waited) * 1000));
      const { own: about, ageMs: _age, ...rest } = entry;
      return { ...rest, own: about !== undefined && own.has(about) ? about : undefined, receivedAt: received };
    });
    return await Promise.all(dated.map(toPrepared));
  }

  async function toPrepared(entry: Prepared["entry"]): Promise<Prepared> {
    const ref = randomUUID();
    const keysText = JSON.stringify(entry.keys);
    const recovered = entry.recovered === undefined ? "" : entry.recovered ? "1" : "0";
    const [occurred, wrong] = [String(entry.occurredAt ?? ""), JSON.stringify(entry.wrong)];
    const at = String(entry.receivedAt);
    const sealId = journalSealId(keys.journal, {
      ...{ ref, kind: entry.kind, event: entry.event, keys: keysText, occurred, recovered, wrong },
      ...{ eventId: entry.eventId ?? "", cad, received: at, own: entry.own ?? "" },
    });
    const payload = await sealer.seal("journal", sealId, JSON.stringify(entry.payload ?? null));
    const args = [
      ...[entry.eventId ?? "", entry.kind, entry.event, ref, keysText, payload],
      ...[occurred, at, entry.own ?? "", recovered, wrong, entry.fact ?? ""],
    ];
    return { args, ref, entry, size: payload.length };
  }

  /** Whether Redis has them under the ids that it says it gave them. */
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

  async function writeOnce(entries: readonly NewEntry[]): Promise<{ ids: string[]; all: Prepared[] }> {
    const calledAt = performance.now();
    batches += 1;
    let prepared: Prepared[] | undefined;
    for (let attempt = 1, sent = false; ; attempt += 1) {
      try {
        prepared ??= await prepare(entries, calledAt);
        const again = sent ? "1" : "0";
        sent = true;
        const args = prepared.flatMap((one) => one.args);
        const [outcome, ...ids] = asList(
          await write(token, batches, again, SEEN_MS, keptMs, maxEntries, cad, ...args),
        ).map(String);
        if (outcome === "ahead" && Number.isSafeInteger(Number(ids[0]))) {
          batches = Number(ids[0]) + 1;
          sent = false;
          continue;
        }
        const believed = outcome === "written" && (again === "0" || (await areThere(ids, prepared)));
        if (!believed) throw new NotOwner();
        standing = undefined;
        return { ids, all: prepared };
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
      const { ids, all } = await writeOnce(entries);
      answered = batches;
      await trim(TRIM_MS);
      return all.map(({ entry, size }, i) => {
        const id = ids[i] ?? "";
        return id === "" ? undefined : { ...entry, id, cad, size };
      });
    },
    standstill: () => standing,
    async heard(until) {
      await noteHeard(token, answered, until);
    },
    async lastHeard() {
      const [now, heard] = asList(await lastHeard());
      return { now: Number(now), heard: heard === "" ? undefined : Number(heard) };
    },
  };
}

const asList = (reply: ScriptReply): ScriptReply[] => (Array.isArray(reply) ? reply : []);
