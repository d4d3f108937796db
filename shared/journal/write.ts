import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { NotOwner } from "../outbox/owned.ts";
import type { Log } from "../log.ts";
import { redisFault, script, type ScriptReply } from "../redis.ts";
import type { Sealer } from "../seal.ts";
import { sleep } from "../sleep.ts";
import type { Micros } from "../time.ts";
import type { JournalEntry, NewEntry } from "./entry.ts";
import type { JournalKeys } from "./keys.ts";

/** How long a CAD's event id is remembered, ms: longer than any replay reaches back. */
const SEEN_MS = 24 * 3_600_000;

/**
 * KEYS[1] the base name, ARGV: owner token, batch, seen_ms, kept_ms, most entries, cad, then for each entry: event id, kind,
 * event, ref, keys, payload, occurred ('' or us), age (us), own, recovered ('', '1', '0'), wrong.
 * Answers {'not-owner'} or {'written', received, id, received, id...}; the id of one that was seen before is ''. A batch that
 * is asked for again, since its answer was lost, is written once.
 */
const WRITE = `#!lua
local base = KEYS[1]
if redis.call('GET', base .. ':owner') ~= ARGV[1] then return {'not-owner'} end
local prior = redis.call('HMGET', base .. ':written', 'batch', 'answer')
if prior[1] == ARGV[2] then return cjson.decode(prior[2]) end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
-- An age that was taken before Redis went away is too small by now; what follows must not seem to have come before.
local floor = tonumber(redis.call('HGET', base .. ':written', 'received') or '0')
local answer = {'written'}
local last
for i = 7, #ARGV, 11 do
  local event_id, age = ARGV[i], tonumber(ARGV[i + 7])
  floor = math.max(floor, now - age)
  local received = string.format('%.0f', floor)
  local id = ''
  if event_id == '' or redis.call('SET', base .. ':seen:' .. event_id, 1, 'NX', 'PX', ARGV[3]) then
    id = redis.call('XADD', base .. ':journal', '*', 'kind', ARGV[i + 1], 'event', ARGV[i + 2], 'ref', ARGV[i + 3],
      'keys', ARGV[i + 4], 'payload', ARGV[i + 5], 'occurred', ARGV[i + 6], 'received', received, 'own', ARGV[i + 8],
      'recovered', ARGV[i + 9], 'wrong', ARGV[i + 10], 'event_id', event_id, 'cad', ARGV[6])
    last = id
  end
  answer[#answer + 1] = received
  answer[#answer + 1] = id
end
if last then
  redis.call('XTRIM', base .. ':journal', 'MINID', '~', string.format('%.0f', now / 1000 - tonumber(ARGV[4])))
  redis.call('XTRIM', base .. ':journal', 'MAXLEN', '~', ARGV[5])
  redis.call('PUBLISH', base .. ':journalled', last)
end
redis.call('HSET', base .. ':written', 'received', string.format('%.0f', floor))
redis.call('HSET', base .. ':written', 'batch', ARGV[2], 'answer', cjson.encode(answer))
return answer`;

/** Notes until when everything that the CAD sent is known to be in the journal. ARGV: owner token, age (us). */
const HEARD = `#!lua flags=allow-oom
if redis.call('GET', KEYS[1] .. ':owner') ~= ARGV[1] then return 0 end
local clock = redis.call('TIME')
redis.call('SET', KEYS[1] .. ':heard', string.format('%.0f', clock[1] * 1000000 + clock[2] - ARGV[2]))
return 1`;

export interface JournalOptions {
  redis: Redis;
  keys: JournalKeys;
  sealer: Sealer;
  /** The owner's; nobody else may write. */
  token: string;
  /** The CAD's address, without credentials. */
  cad: string;
  keptMs: number;
  maxEntries: number;
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
  /** Everything that the CAD sent until so long ago is in the journal. */
  heard(agoMs: number): Promise<void>;
  /** Until when that was so; undefined if it never was. */
  lastHeard(): Promise<Micros | undefined>;
}

export function openJournalWriter(options: JournalOptions): JournalWriter {
  const { redis, keys, sealer, token, cad, keptMs, maxEntries, signal, log } = options;
  const write = script(redis, "journalWrite", WRITE, [keys.cad]);
  const noteHeard = script(redis, "journalHeard", HEARD, [keys.cad]);

  async function fields(entry: NewEntry): Promise<string[]> {
    const ref = randomUUID();
    const payload = await sealer.seal("journal", ref, JSON.stringify(entry.payload ?? null));
    const recovered = entry.recovered === undefined ? "" : entry.recovered ? "1" : "0";
    return [
      ...[entry.eventId ?? "", entry.kind, entry.event, ref, JSON.stringify(entry.keys), payload],
      ...[String(entry.occurredAt ?? ""), String(Math.round(entry.ageMs * 1000)), entry.own ?? "", recovered],
      JSON.stringify(entry.wrong),
    ];
  }

  async function writeOnce(batch: string, args: readonly string[]): Promise<ScriptReply[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return asList(await write(token, batch, SEEN_MS, keptMs, maxEntries, cad, ...args));
      } catch (error) {
        if (attempt === 1)
          log.warn({ reason: redisFault(error) ?? String(error) }, "the journal cannot be written: it is tried again");
        await sleep(Math.min(50 * attempt, 1000), signal);
        if (signal.aborted) throw new NotOwner();
      }
    }
  }

  return {
    async append(entries) {
      const args = (await Promise.all(entries.map(fields))).flat();
      const [outcome, ...rest] = await writeOnce(randomUUID(), args);
      if (outcome === "not-owner") throw new NotOwner();
      return entries.map((entry, i) => {
        const [receivedAt, id] = [Number(rest[2 * i]), String(rest[2 * i + 1])];
        return id === "" ? undefined : { ...entry, id, cad, receivedAt };
      });
    },
    async heard(agoMs) {
      await noteHeard(token, Math.round(agoMs * 1000));
    },
    async lastHeard() {
      const value = await redis.get(keys.heard);
      return value === null ? undefined : Number(value);
    },
  };
}

const asList = (reply: ScriptReply): ScriptReply[] => (Array.isArray(reply) ? reply : []);
