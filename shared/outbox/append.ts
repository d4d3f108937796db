import { auditIn } from "../audit/trail.ts";
import { RELEASE, STORING_PRELUDE, SUPERSEDED } from "./lua.ts";

/**
 * ARGV: id, kind, keys (JSON), body, user, role, fingerprints (JSON), latest ('1' or ''), ttl (us or ''), idempotency scope
 * and key (JSON), idempotency key (the id itself if none was given), its ttl (ms), bounds (JSON: see boundsFor), kept_ms of a
 * superseded one, the id of the dead letter that this one sends again ('' if none), the note for the audit trail ('' for
 * none), what may be there once only (JSON: its hashes, of which the first is stored) and for how long (ms), when it was handed
 * over (us), the MAC of all that never changes, '1' if it takes the place of the dead letter that it sends again and that holds it, the trace
 * that it belongs to ('' if none).
 * Answers {'accepted', accepted_at, runnable 0|1, due 0|1} (due: the worker sleeps, and a job is to wake it), {'replayed', id, state, accepted_at}, {'conflict', id}, {'once', id},
 * {'gone'} (that dead letter does not hold its place any more), {'moved'} (a unit is at another CAD), {'full'} or {'over', 'subject', 'key' or 'held' (a key whose queue a
 * dead letter holds)}.
 */
export const APPEND = `${STORING_PRELUDE}${RELEASE}${auditIn("KEYS[2]")}
local id, kind, keys_json, body, user, role, fingerprints_json, latest, ttl, idem, given, idem_ttl, bounds_json, kept_ms, redrive_of,
  note, once_json, once_ms, issued_at, head, in_place, trace = unpack(ARGV)
-- What could fail comes before anything is written.
local fingerprints, keys, once = cjson.decode(fingerprints_json), cjson.decode(keys_json), cjson.decode(once_json)
local bounds = cjson.decode(bounds_json)
local function is_same(fingerprint)
  for _, mine in ipairs(fingerprints) do if mine == fingerprint then return true end end
  return false
end

local function replay(prior)
  local was = redis.call('HMGET', record(prior), 'fingerprint', 'state', 'accepted_at', 'user')
  -- Another's id is no key at all: whether there is one is nobody else's business.
  if not was[1] or was[4] ~= user then return nil end
  if not is_same(was[1]) then return {'conflict', prior} end
  audit(note, 'replayed', prior)
  return {'replayed', prior, was[2], was[3]}
end
-- The id of a command is a key for it too: whoever was told the id and nothing more can repeat it harmlessly, even if
-- the repeat arrives first.
local answer = replay(redis.call('GET', base .. ':idem:' .. idem) or given)
if answer then return answer end
for _, hash in ipairs(once) do
  local prior = redis.call('GET', base .. ':once:' .. hash)
  if prior then return {'once', prior} end
end
-- A unit that was moved from one CAD to another is accepted for where it is, and only by whoever knows of its last move. What is
-- sent again here was accepted here: with its place it comes before the move, else the unit has to be here.
local marks = base == KEYS[2] and in_place ~= '1' and keys[1] and redis.call('HMGET', base .. ':moved', unpack(keys)) or {}
for i, mark in ipairs(marks) do
  if mark and mark ~= (bounds.moved or {})[keys[i]] and not (redrive_of ~= '' and string.find(mark, '^here')) then
    return {'moved'}
  end
end
-- Latest wins: the newer value takes the place of the last of all its lines, if that one waits and is the same kind.
local function replaceable()
  local tail = latest == '1' and redis.call('LINDEX', line(keys[1]), -1)
  if not tail or redis.call('ZSCORE', RUNNABLE, tail) then return nil end
  for i = 2, #keys do
    if redis.call('LINDEX', line(keys[i]), -1) ~= tail then return nil end
  end
  local was = redis.call('HMGET', record(tail), 'kind', 'keys', 'state')
  return was[1] == kind and was[2] == keys_json and was[3] == 'queued' and tail or nil
end
local replaced = in_place ~= '1' and replaceable()
-- In its place, and with its time of acceptance: by that time too it comes before what waits behind it.
local instead_of = in_place == '1' and redis.call('HMGET', record(redrive_of), 'held', 'accepted_at')
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
  if beyond(bounds.key, redis.call('LLEN', line(key)), more) then
    local first = redis.call('LINDEX', line(key), 0)
    return {'over', first and redis.call('ZSCORE', HELD, first) and 'held' or 'key'}
  end
end
-- In the same step as the command itself: there is none without its entry.
audit(note, 'accepted', id)

local last = tonumber(redis.call('GET', base .. ':last') or 0)
local at = instead_of and tonumber(instead_of[2]) or math.max(now, last + 1)
redis.call('SET', base .. ':last', whole(math.max(at, last)))
redis.call('HSET', record(id), 'kind', kind, 'keys', keys_json, 'body', body, 'user', user, 'role', role,
  'fingerprint', fingerprints[1], 'latest', latest, 'state', 'queued', 'sends', 0, 'accepted_at', whole(at),
  'ttl', ttl, 'issued_at', issued_at, 'head', head)
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
if ttl ~= '' then
  local expires = at + tonumber(ttl)
  redis.call('HSET', record(id), 'expires_at', whole(expires))
  redis.call('ZADD', EXPIRING, expires, id)
end
if once[1] then redis.call('SET', base .. ':once:' .. once[1], id, 'PX', once_ms) end
if given ~= id then redis.call('SET', base .. ':idem:' .. idem, id, 'PX', idem_ttl) end
if redrive_of ~= '' then redis.call('HSET', record(id), 'redrive_of', redrive_of) end
if trace ~= '' then redis.call('HSET', record(id), 'trace', trace) end

if replaced then
  for _, key in ipairs(keys) do redis.call('LSET', line(key), -1, id) end
  finish(replaced, {}, 'superseded', kept_ms, '${SUPERSEDED}', id)
  return {'accepted', whole(at), 0, 0}
end

if instead_of then
  for _, key in ipairs(keys) do redis.call('LSET', line(key), 0, id) end
  let_go(redrive_of)
end
local runnable = 1
for _, key in ipairs(instead_of and {} or keys) do
  if redis.call('RPUSH', line(key), id) > 1 then runnable = 0 end
end
if runnable == 0 then return {'accepted', whole(at), 0, 0} end
redis.call('ZADD', RUNNABLE, now, id)
-- Of a destination's outbox only the worker itself takes anything, and needs nobody to wake it.
if base ~= KEYS[2] then return {'accepted', whole(at), 1, 0} end
return {'accepted', whole(at), 1, call_worker(id) and 1 or 0}
`;
