import { DEAD_STATES } from "./states.ts";

/** Why a script itself ends a message: reasons that no key vouches for. */
export const SUPERSEDED = "a newer value took its place";
export const EXPIRED_UNSENT = "its time to live passed before it could be sent";
export const EXPIRED_SENT = "it was sent, but its time to live passed before the CAD confirmed it: the CAD may have it";

/**
 * What every script of the outbox shares. KEYS[1] is the outbox's base name, with which all its keys begin; KEYS[2] that of
 * its CAD backend, whose owner alone may send. Both have the same hash tag, so that a Redis Cluster runs each script on one
 * node. The stored format is in FORMAT.md.
 *
 * Times are microseconds of Redis's own clock. Lua prints a large number as 1.7e+15, so they are written with %.0f.
 */
export const PRELUDE = `#!lua flags=allow-oom
local base = KEYS[1]
local RUNNABLE, OPEN, EXPIRING = base .. ':runnable', base .. ':open', base .. ':expiring'
local READY, AWAKE = base .. ':ready', base .. ':awake'
local CHARGES, WAITING = base .. ':charges', base .. ':waiting'
local DEAD, COUNTS, LEASE, OWNER = base .. ':dead', base .. ':counts', KEYS[2] .. ':lease', KEYS[2] .. ':owner'
local HELD = base .. ':held'
local function record(id) return base .. ':record:' .. id end
local function queue(key) return base .. ':line:' .. key end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local function whole(n) return string.format('%.0f', n) end
local function is_final(state) return state ~= 'queued' and state ~= 'sent' end
local UNCONFIRMED = base .. ':unconfirmed'
-- The states that are kept to be sent again, and in which set.
local dead = { ${DEAD_STATES.map((state) => `${state} = DEAD`).join(", ")}, unconfirmed = UNCONFIRMED }

local function first_everywhere(id, keys)
  for _, key in ipairs(keys) do
    if redis.call('LINDEX', queue(key), 0) ~= id then return false end
  end
  return true
end

-- How long a message rests still before its retry. Never longer than it was to rest: the clock may have been set back since.
local function rest_left(id)
  local was = redis.call('HMGET', record(id), 'retry_at', 'rest')
  local left = was[1] and was[1] - now or 0
  return left > 0 and left <= tonumber(was[2] or 0) and left or 0
end

-- Those that are first in all their queues, of the queues named: marked runnable, and returned on every call, so
-- that a reply that was lost costs nothing. One without a record counts too: begin will find it gone.
local function runnable_heads(keys)
  local heads, seen = {}, {}
  for _, key in ipairs(keys) do
    local head = redis.call('LINDEX', queue(key), 0)
    if head and not seen[head] then
      seen[head] = true
      local its = redis.call('HMGET', record(head), 'keys', 'held', 'state')
      -- A dead letter that holds its place lets nothing pass until somebody handles it.
      local holds = its[2] == '1' and is_final(its[3])
      if not holds and (not its[1] or first_everywhere(head, cjson.decode(its[1]))) then
        redis.call('ZADD', RUNNABLE, 'NX', now, head)
        heads[#heads + 1] = head
      end
    end
  end
  return heads
end

-- What waits is counted for each subject when it is accepted, and given back once, whoever ends it: the charge is gone then.
local function count_waiting(subject, n, bytes)
  for field, more in pairs({ [subject .. ':n'] = n, [subject .. ':bytes'] = bytes, ['all:bytes'] = bytes }) do
    if redis.call('HINCRBY', WAITING, field, more) <= 0 then redis.call('HDEL', WAITING, field) end
  end
end
local function release(id)
  local bytes, subject = string.match(redis.call('HGET', CHARGES, id) or '', '^(%d+) (%x+)$')
  if redis.call('HDEL', CHARGES, id) == 1 and bytes then count_waiting(subject, -1, -bytes) end
end
local function unconfirmed_of(kind, keys_json) return base .. ':unconfirmed:' .. kind .. ':' .. keys_json end

-- What came after it with the same event and keys may hold a newer value: noted for whoever wants to send it again.
local function note_unconfirmed(id, keys, kept_ms)
  local was = redis.call('HMGET', record(id), 'kind', 'keys')
  redis.call('SET', unconfirmed_of(was[1], was[2]), id, 'PX', kept_ms)
  for _, later in ipairs(redis.call('LRANGE', queue(keys[1]), 0, 99)) do
    local its = redis.call('HMGET', record(later), 'kind', 'keys')
    if its[1] == was[1] and its[2] == was[2] then redis.call('HSET', record(id), 'overtaken_by', later) end
  end
end

local function leave_queues(id, keys)
  for _, key in ipairs(keys) do
    if redis.call('LINDEX', queue(key), 0) == id then redis.call('LPOP', queue(key))
    else redis.call('LREM', queue(key), 1, id) end
  end
end

-- Gives a message its final state and takes it off its queues. Only a dead letter's payload may be needed again.
-- at and mac: when, and what vouches for it, if that is not Redis's own word. held: it stays first in its queues, and is kept,
-- until it is sent again in its place or discarded.
local function finish(id, keys, state, kept_ms, reason, by, at, mac, held)
  if not held then leave_queues(id, keys) end
  redis.call('ZREM', RUNNABLE, id)
  redis.call('ZREM', OPEN, id)
  redis.call('ZREM', EXPIRING, id)
  release(id)
  local emptied = dead[state] and {} or { 'body', '' }
  redis.call('HSET', record(id), 'state', state, 'settled_at', at or whole(now), 'reason', reason, 'by', by,
    'final', mac or '', unpack(emptied))
  if held then
    redis.call('HSET', record(id), 'held', '1', 'kept', kept_ms)
    redis.call('ZADD', HELD, now, id)
  else
    redis.call('PEXPIRE', record(id), kept_ms)
  end
  redis.call('HINCRBY', COUNTS, state, 1)
  -- Of the commands alone, whose kinds are a closed set; what superseded one is an id, which is no label.
  if base == KEYS[2] then
    local kind = redis.call('HGET', record(id), 'kind') or ''
    redis.call('HINCRBY', base .. ':outcomes', state .. ' ' .. kind .. ' ' .. (state == 'superseded' and '' or by), 1)
  end
  if dead[state] then redis.call('ZADD', dead[state], redis.call('HGET', record(id), 'accepted_at'), id) end
  if state == 'unconfirmed' then note_unconfirmed(id, keys, kept_ms) end
  -- Without the right to publish, those who wait look by themselves: what was written stands.
  redis.pcall('PUBLISH', base .. ':settled:' .. id, state)
end
`;

/** For scripts that end the hold of a dead letter, or accept: of the commands alone. */
export const RELEASE = `
-- What held its place is kept from now on for as long as any dead letter.
local function let_go(id)
  local kept = redis.call('HGET', record(id), 'kept')
  redis.call('HSET', record(id), 'held', '0')
  redis.call('ZREM', HELD, id)
  if kept then redis.call('PEXPIRE', record(id), kept) end
end

-- Has the worker take what became runnable; true if it sleeps, and a job is to wake it. A worker that is awake looks before it
-- falls asleep, in the same step: this only saves it the wait until then. One that lost its lease, or is gone, is not awake.
local function call_worker(id)
  redis.call('ZADD', READY, 'NX', now, id)
  local who = redis.call('MGET', AWAKE, LEASE)
  if not who[1] or who[1] ~= who[2] then return true end
  if redis.call('ZCARD', READY) == 1 then redis.pcall('PUBLISH', READY, '') end
  return false
end
`;

/** The same, for a script that must not run when Redis is full: it would store more. */
export const STORING_PRELUDE = PRELUDE.replace("#!lua flags=allow-oom", "#!lua");
