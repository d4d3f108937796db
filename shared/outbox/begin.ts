import { PRELUDE } from "./lua.ts";

/**
 * Asked right before every send: may this message go out now, and what is it?
 * ARGV: lease token, kept_ms, kept_ms of a dead letter, then ids. For each id one of {'not-owner'}, {'gone'},
 * {'waiting'} (not first in its lines), {'resting', us} (it was postponed for so long still), {'settled', heads...} or
 * {'send', kind, keys, body, user, role, accepted_at, sends}.
 */
export const BEGIN = `${PRELUDE}
local token, kept_ms, dead_ms = ARGV[1], ARGV[2], ARGV[3]
local owner = redis.call('GET', LEASE) == token

local function next_in_all(id, keys)
  local following = redis.call('LINDEX', line(keys[1]), 1)
  for i = 2, #keys do
    if redis.call('LINDEX', line(keys[i]), 1) ~= following then return false end
  end
  return following
end

local function begin(id)
  if not owner then return {'not-owner'} end
  local r = redis.call('HMGET', record(id), 'kind', 'keys', 'body', 'user', 'role', 'accepted_at', 'expires_at',
    'latest', 'state', 'sends', 'early')
  local kind, keys_json, state, sends = r[1], r[2], r[9], tonumber(r[10])
  if not kind then return {'gone'} end
  local keys = cjson.decode(keys_json)
  if is_final(state) then return {'settled', unpack(runnable_heads(keys))} end
  if not first_everywhere(id, keys) then return {'waiting'} end
  local left = rest_left(id)
  if left > 0 and r[11] ~= '1' then return {'resting', whole(left)} end
  if r[7] and now >= tonumber(r[7]) then
    local why = sends == 0 and 'its time to live passed before it could be sent'
      or 'it was sent, but its time to live passed before the CAD confirmed it: the CAD may have it'
    finish(id, keys, 'expired', dead_ms, why, '')
    return {'settled', unpack(runnable_heads(keys))}
  end
  -- Latest wins: one that was never sent steps aside for a newer one right behind it.
  if r[8] == '1' and sends == 0 then
    local newer = next_in_all(id, keys)
    local its = newer and redis.call('HMGET', record(newer), 'kind', 'keys')
    if its and its[1] == kind and its[2] == keys_json then
      finish(id, keys, 'superseded', kept_ms, 'a newer value took its place', newer)
      return {'settled', unpack(runnable_heads(keys))}
    end
  end
  redis.call('HSET', record(id), 'state', 'sent', 'sends', sends + 1, 'sent_at', whole(now))
  redis.call('ZADD', RUNNABLE, 'XX', now, id)
  return {'send', kind, keys_json, r[3], r[4], r[5], r[6], sends + 1}
end

local answers = {}
for i = 4, #ARGV do answers[#answers + 1] = begin(ARGV[i]) end
return answers
`;

/**
 * Takes back a begin after which nothing was sent: the message waits in its place, as if it had not been begun.
 * ARGV: lease token, id.
 */
export const PUT_BACK = `${PRELUDE}
local token, id = ARGV[1], ARGV[2]
if redis.call('GET', LEASE) ~= token or redis.call('HGET', record(id), 'state') ~= 'sent' then return 0 end
if redis.call('HINCRBY', record(id), 'sends', -1) < 1 then
  redis.call('HSET', record(id), 'state', 'queued', 'sends', 0)
  redis.call('HDEL', record(id), 'sent_at')
end
return 1
`;
