import { AUDIT_NOTE } from "../audit/authentic.ts";
import { auditIn } from "../audit/trail.ts";
import {
  definePayloadScript,
  boolean,
  integer,
  object,
  optional,
  string,
  strings,
  stringsByName,
} from "../redis/script.ts";
import { RELEASE, STORING_PRELUDE, SUPERSEDED } from "./lua.ts";

const FIELDS = {
  id: string,
  kind: string,
  /** JSON, as it is stored: what Redis cannot read is refused before anything is written. */
  keys: string,
  user: string,
  role: string,
  fingerprints: strings,
  /** '1' or ''. */
  latest: string,
  /** us, or ''. */
  ttl: string,
  /** The idempotency key with its scope (JSON), the key alone (the id itself if none was given), and its time to live. */
  idempotencyScope: string,
  idempotencyKey: string,
  idempotencyMs: integer,
  bounds: object("bounds", { backlog: integer, bytes: integer, subject: integer, subjectBytes: integer, key: integer }),
  /** Of a superseded one. */
  keptMs: integer,
  /** The dead letter that this one sends again; ''. */
  redriveOf: string,
  note: optional(object("note", AUDIT_NOTE)),
  /** What may be there once only: its hashes, of which the first is stored, and for how long. */
  once: strings,
  onceMs: integer,
  /** When it was handed over, us. */
  issuedAt: string,
  /** The MAC of all that never changes. */
  head: string,
  /** It takes the place of the dead letter that it sends again and that holds it. */
  inPlace: boolean,
  /** By key: the last move of a unit from one CAD to another that the caller knows of. */
  moved: optional(stringsByName),
  /** The trace that it belongs to, behind its MAC. */
  trace: optional(string),
} as const;

/**
 * Its payload is the body: the largest part, which is stored as it is.
 * Answers {'accepted', accepted_at, runnable 0|1, due 0|1} (due: the worker sleeps, and a job is to wake it), {'replayed', id, state, accepted_at}, {'conflict', id}, {'once', id},
 * {'gone'} (that dead letter does not hold its place any more), {'moved'} (a unit is at another CAD), {'full'} or {'over', 'subject', 'key' or 'held' (a key whose queue a
 * dead letter holds)}.
 */
export const APPEND = definePayloadScript(
  "outboxAppend",
  FIELDS,
  `${STORING_PRELUDE}${RELEASE}${auditIn("KEYS[2]")}
local id, kind, keys_json, body, user = args.id, args.kind, args.keys, ARGV[2], args.user
local keys = cjson.decode(keys_json)
local bounds, redrive_of, in_place = args.bounds, args.redriveOf, args.inPlace
local idempotency_key = base .. ':idem:' .. args.idempotencyScope
local function is_same(fingerprint)
  for _, mine in ipairs(args.fingerprints) do if mine == fingerprint then return true end end
  return false
end

local function replay(prior)
  local was = redis.call('HMGET', record(prior), 'fingerprint', 'state', 'accepted_at', 'user')
  -- Another's id is no key at all: whether there is one is nobody else's business.
  if not was[1] or was[4] ~= user then return nil end
  if not is_same(was[1]) then return {'conflict', prior} end
  audit(args.note, 'replayed', prior)
  return {'replayed', prior, was[2], was[3]}
end
-- The id of a command is a key for it too: whoever was told the id and nothing more can repeat it harmlessly, even if
-- the repeat arrives first.
local answer = replay(redis.call('GET', idempotency_key) or args.idempotencyKey)
if answer then return answer end
for _, hash in ipairs(args.once) do
  local prior = redis.call('GET', base .. ':once:' .. hash)
  if prior then return {'once', prior} end
end
-- A unit that was moved from one CAD to another is accepted for where it is, and only by whoever knows of its last move. What is
-- sent again here was accepted here: with its place it comes before the move, else the unit has to be here.
local marks = base == KEYS[2] and not in_place and keys[1] and redis.call('HMGET', base .. ':moved', unpack(keys)) or {}
for i, mark in ipairs(marks) do
  if mark and mark ~= (args.moved or {})[keys[i]] and not (redrive_of ~= '' and string.find(mark, '^here')) then
    return {'moved'}
  end
end
-- Latest wins: the newer value takes the place of the last of all its queues, if that one waits and is the same kind.
local function replaceable()
  local tail = args.latest == '1' and redis.call('LINDEX', queue(keys[1]), -1)
  if not tail or redis.call('ZSCORE', RUNNABLE, tail) then return nil end
  for i = 2, #keys do
    if redis.call('LINDEX', queue(keys[i]), -1) ~= tail then return nil end
  end
  local was = redis.call('HMGET', record(tail), 'kind', 'keys', 'state')
  return was[1] == kind and was[2] == keys_json and was[3] == 'queued' and tail or nil
end
local replaced = not in_place and replaceable()
-- In its place, and with its time of acceptance: by that time too it comes before what waits behind it.
local instead_of = in_place and redis.call('HMGET', record(redrive_of), 'held', 'accepted_at')
if instead_of and (instead_of[1] ~= '1' or not first_everywhere(redrive_of, keys)) then return {'gone'} end

local subject, bytes = string.sub(redis.sha1hex(user), 1, 20), #body + #keys_json
local function beyond(bound, waiting, more) return bound > 0 and waiting + more > bound end
local function waits(field) return tonumber(redis.call('HGET', WAITING, field) or 0) end
-- Nor may what waits behind a dead letter keep it from being sent again.
if not instead_of and (redis.call('ZCARD', OPEN) >= bounds.backlog or beyond(bounds.bytes, waits('all:bytes'), bytes)) then
  return {'full'}
end
-- One that takes another's place adds nothing to how many wait.
local more = replaced and 0 or 1
if beyond(bounds.subject, waits(subject .. ':n'), more) or beyond(bounds.subjectBytes, waits(subject .. ':bytes'), bytes) then
  return {'over', 'subject'}
end
for _, key in ipairs(keys) do
  if beyond(bounds.key, redis.call('LLEN', queue(key)), more) then
    local first = redis.call('LINDEX', queue(key), 0)
    return {'over', first and redis.call('ZSCORE', HELD, first) and 'held' or 'key'}
  end
end
-- In the same step as the command itself: there is none without its entry.
audit(args.note, 'accepted', id)

local last = tonumber(redis.call('GET', base .. ':last') or 0)
local at = instead_of and tonumber(instead_of[2]) or math.max(now, last + 1)
redis.call('SET', base .. ':last', whole(math.max(at, last)))
redis.call('HSET', record(id), 'kind', kind, 'keys', keys_json, 'body', body, 'user', user, 'role', args.role,
  'fingerprint', args.fingerprints[1], 'latest', args.latest, 'state', 'queued', 'sends', 0, 'accepted_at', whole(at),
  'ttl', args.ttl, 'issued_at', args.issuedAt, 'head', args.head)
-- What was accepted is counted where it is stored: less what is settled and what waits, nothing may be left. A store from before
-- that begins with what it holds.
if redis.call('HINCRBY', COUNTS, 'accepted', 1) == 1 then
  local before = redis.call('ZCARD', OPEN)
  for _, n in ipairs(redis.call('HVALS', COUNTS)) do before = before + n end
  redis.call('HSET', COUNTS, 'accepted', whole(before))
end
redis.call('ZADD', OPEN, at, id)
redis.call('HSET', CHARGES, id, bytes .. ' ' .. subject)
count_waiting(subject, 1, bytes)
local unconfirmed = redis.call('GET', unconfirmed_of(kind, keys_json))
if unconfirmed and redis.call('EXISTS', record(unconfirmed)) == 1 then
  redis.call('HSET', record(unconfirmed), 'overtaken_by', id)
end
if args.ttl ~= '' then
  local expires = at + tonumber(args.ttl)
  redis.call('HSET', record(id), 'expires_at', whole(expires))
  redis.call('ZADD', EXPIRING, expires, id)
end
if args.once[1] then redis.call('SET', base .. ':once:' .. args.once[1], id, 'PX', args.onceMs) end
if args.idempotencyKey ~= id then redis.call('SET', idempotency_key, id, 'PX', args.idempotencyMs) end
if redrive_of ~= '' then redis.call('HSET', record(id), 'redrive_of', redrive_of) end
if args.trace then redis.call('HSET', record(id), 'trace', args.trace) end

if replaced then
  for _, key in ipairs(keys) do redis.call('LSET', queue(key), -1, id) end
  finish(replaced, {}, 'superseded', args.keptMs, '${SUPERSEDED}', id)
  return {'accepted', whole(at), 0, 0}
end

if instead_of then
  for _, key in ipairs(keys) do redis.call('LSET', queue(key), 0, id) end
  let_go(redrive_of)
end
local runnable = 1
for _, key in ipairs(instead_of and {} or keys) do
  if redis.call('RPUSH', queue(key), id) > 1 then runnable = 0 end
end
if runnable == 0 then return {'accepted', whole(at), 0, 0} end
redis.call('ZADD', RUNNABLE, now, id)
-- Of a destination's outbox only the worker itself takes anything, and needs nobody to wake it.
if base ~= KEYS[2] then return {'accepted', whole(at), 1, 0} end
return {'accepted', whole(at), 1, call_worker(id) and 1 or 0}
`,
);
