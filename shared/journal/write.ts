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
import { journalSealId } from "./read.ts";
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
 * KEYS[1] the base name, ARGV: owner token, batch (1, 2, 3...), seen_ms, kept_ms, most entries, cad, then for each entry: event
 * id, kind, event, ref, keys, payload, occurred ('' or us), age (us), own (the id of what may be a command), recovered ('', '1',
 * '0'), wrong, fact ('' or what it tells, whoever tells it: told once). Answers {'not-owner'} or {'written', received, id, own, received, id, own...}; the id of one that was seen before
 * is '', and own is '' unless it is a command of this bridge. A batch that is asked for again, since its answer was lost, is
 * written once; also one that Redis gets to see only after the next one.
 */
const WRITE = `#!lua
${SET_BACK}
if redis.call('GET', base .. ':owner') ~= ARGV[1] then return {'not-owner'} end
local prior = redis.call('HMGET', base .. ':written', 'token', 'batch', 'answer')
if prior[1] == ARGV[1] and tonumber(prior[2]) >= tonumber(ARGV[2]) then return cjson.decode(prior[3]) end
if set_back(prior, ARGV[1], ARGV[2] - 1) then return {'not-owner'} end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
-- An age that was taken before Redis went away is too small by now; what follows must not seem to have come before.
local floor = tonumber(redis.call('HGET', base .. ':written', 'received') or '0')
local answer = {'written'}
local last
local function first(name)
  return name == '' or redis.call('SET', base .. ':seen:' .. name, 1, 'NX', 'PX', ARGV[3])
end
for i = 7, #ARGV, 12 do
  local event_id, age = ARGV[i], tonumber(ARGV[i + 7])
  floor = math.max(floor, now - age)
  local received = string.format('%.0f', floor)
  local id, own = '', ARGV[i + 8]
  if own ~= '' and redis.call('EXISTS', base .. ':record:' .. own) == 0 then own = '' end
  if first(event_id) and first(ARGV[i + 11]) then
    id = redis.call('XADD', base .. ':journal', '*', 'kind', ARGV[i + 1], 'event', ARGV[i + 2], 'ref', ARGV[i + 3],
      'keys', ARGV[i + 4], 'payload', ARGV[i + 5], 'occurred', ARGV[i + 6], 'received', received, 'own', own,
      'recovered', ARGV[i + 9], 'wrong', ARGV[i + 10], 'event_id', event_id, 'cad', ARGV[6])
    last = id
  end
  answer[#answer + 1] = received
  answer[#answer + 1] = id
  answer[#answer + 1] = own
end
if last then
  redis.call('XTRIM', base .. ':journal', 'MINID', '~', string.format('%.0f', now / 1000 - tonumber(ARGV[4])))
  redis.call('XTRIM', base .. ':journal', 'MAXLEN', '~', ARGV[5])
  -- Without the right to publish, readers look by themselves: what was written stands.
  redis.pcall('PUBLISH', base .. ':journalled', last)
end
redis.call('HSET', base .. ':written', 'received', string.format('%.0f', floor), 'token', ARGV[1], 'batch', ARGV[2], 'answer',
  cjson.encode(answer))
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

export function openJournalWriter(options: JournalOptions): JournalWriter {
  const { redis, keys, sealer, token, cad, keptMs, maxEntries, maxBytes, signal, log } = options;
  const write = script(redis, "journalWrite", WRITE, [keys.cad]);
  const noteHeard = script(redis, "journalHeard", HEARD, [keys.cad]);
  const clock = script(redis, "journalClock", CLOCK, [keys.cad]);
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

  async function fields(entry: NewEntry): Promise<{ args: string[]; size: number }> {
    const ref = randomUUID();
    const keysText = JSON.stringify(entry.keys);
    const recovered = entry.recovered === undefined ? "" : entry.recovered ? "1" : "0";
    const [occurred, wrong] = [String(entry.occurredAt ?? ""), JSON.stringify(entry.wrong)];
    const sealId = journalSealId(keys.journal, {
      ...{ ref, kind: entry.kind, event: entry.event, keys: keysText, occurred, recovered, wrong },
      ...{ eventId: entry.eventId ?? "", cad },
    });
    const payload = await sealer.seal("journal", sealId, JSON.stringify(entry.payload ?? null));
    const args = [
      ...[entry.eventId ?? "", entry.kind, entry.event, ref, keysText, payload],
      ...[occurred, String(Math.round(entry.ageMs * 1000)), entry.own ?? "", recovered],
      ...[wrong, entry.fact ?? ""],
    ];
    return { args, size: payload.length };
  }

  async function writeOnce(batch: number, args: readonly string[]): Promise<ScriptReply[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = asList(await write(token, batch, SEEN_MS, keptMs, maxEntries, cad, ...args));
        standing = undefined;
        return answer;
      } catch (error) {
        standing = { since: standing?.since ?? new Date(), reason: whyFailed(error) };
        if (redisFault(error) === "full") await trim(TRIM_FULL_MS);
        if (attempt === 1)
          log.warn({ reason: redisFault(error) ?? String(error) }, "the journal cannot be written: it is tried again");
        await sleep(Math.min(50 * attempt, 1000), signal);
        if (signal.aborted) throw new NotOwner();
      }
    }
  }

  return {
    async append(entries) {
      const stored = await Promise.all(entries.map(fields));
      const batch = (batches += 1);
      const [outcome, ...rest] = await writeOnce(
        batch,
        stored.flatMap(({ args }) => args),
      );
      if (outcome === "not-owner") throw new NotOwner();
      answered = batch;
      await trim(TRIM_MS);
      return entries.map((entry, i) => {
        const [receivedAt, id, own] = [Number(rest[3 * i]), String(rest[3 * i + 1]), String(rest[3 * i + 2])];
        const size = stored[i]?.size ?? 0;
        return id === "" ? undefined : { ...entry, id, cad, receivedAt, own: own || undefined, size };
      });
    },
    standstill: () => standing,
    async heard(until) {
      await noteHeard(token, answered, until);
    },
    async lastHeard() {
      const [now, heard] = asList(await clock());
      return { now: Number(now), heard: heard === "" ? undefined : Number(heard) };
    },
  };
}

const asList = (reply: ScriptReply): ScriptReply[] => (Array.isArray(reply) ? reply : []);
