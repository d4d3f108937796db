import { boolean, defineScript, integer, objects, optional, string } from "../redis/script.ts";

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
export const ENTRY = {
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
export const WRITE = defineScript(
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
export const NOTE_COMPLETE = defineScript(
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
export const CLOCK = defineScript(
  "journalClock",
  {},
  `#!lua flags=no-writes,allow-oom
local clock = redis.call('TIME')
return {string.format('%.0f', clock[1] * 1000000 + clock[2]), redis.call('GET', KEYS[1] .. ':heard') or ''}`,
);
