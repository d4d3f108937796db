import { EXPIRED_UNSENT, PRELUDE } from "./lua.ts";

/** For scripts with the locals `was_last` (the token is the last owner's), `kept_ms` and `dead_ms`: what SETTLE does for one. */
export const SETTLE_ONE = `
local function settle(id, state, reason, by, at, mac, held)
  if not was_last then return {'not-owner'} end
  local was = redis.call('HMGET', record(id), 'keys', 'state')
  if not was[1] then return {'gone'} end
  local keys = cjson.decode(was[1])
  if not is_final(was[2]) then
    finish(id, keys, state, dead[state] and dead_ms or kept_ms, reason, by, at ~= '' and at or nil, mac, held == '1')
  end
  return {'settled', unpack(runnable_heads(keys))}
end
`;

/**
 * Records final states. Safe to repeat: a message keeps its first final state.
 * ARGV: lease token, kept_ms, kept_ms of a dead letter, then id, state, reason, by, when (us; '' for now), MAC, '1' if it holds its place, ... For each id {'not-owner'},
 * {'gone'} or {'settled', heads...}: those that have become runnable.
 *
 * The token is held against the last owner, not against the lease: a worker whose lease lapsed while nobody else
 * took it may still say what became of what it sent.
 */
export const SETTLE = `${PRELUDE}
local token, kept_ms, dead_ms = ARGV[1], ARGV[2], ARGV[3]
local was_last = redis.call('GET', OWNER) == token
${SETTLE_ONE}
local answers = {}
for i = 4, #ARGV, 7 do answers[#answers + 1] = settle(unpack(ARGV, i, i + 6)) end
return answers
`;

/**
 * Settles what has outlived its time while it waited, wherever it stands in its lines. What was sent already is left
 * to `begin`. Takes dead letters off their list whose records are gone; one that held its place is left to `begin`, which has it
 * taken off its lines. ARGV: lease token, kept_ms of a dead letter,
 * limit. Answers {how many were looked at, heads...}.
 */
export const EXPIRE = `${PRELUDE}
if redis.call('GET', LEASE) ~= ARGV[1] then return {0} end
for _, set in ipairs({DEAD, UNCONFIRMED}) do
  for _, id in ipairs(redis.call('ZRANGE', set, 0, 99)) do
    if redis.call('EXISTS', record(id)) == 0 then redis.call('ZREM', set, id) end
  end
end
for _, id in ipairs(redis.call('ZRANGE', HELD, 0, 99)) do
  if redis.call('EXISTS', record(id)) == 0 then
    redis.call('ZREM', HELD, id)
    redis.call('ZADD', RUNNABLE, 'NX', now, id)
  end
end
local due = redis.call('ZRANGEBYSCORE', EXPIRING, '-inf', now, 'LIMIT', 0, ARGV[3])
local answer = {#due}
for _, id in ipairs(due) do
  local was = redis.call('HMGET', record(id), 'keys', 'state')
  if was[1] and was[2] == 'queued' then
    local keys = cjson.decode(was[1])
    finish(id, keys, 'expired', ARGV[2], '${EXPIRED_UNSENT}', '')
    for _, head in ipairs(runnable_heads(keys)) do answer[#answer + 1] = head end
  else
    redis.call('ZREM', EXPIRING, id)
  end
end
return answer
`;
