import { type ArgumentsOf, defineScript, boolean, integer, objects, string } from "../redis/script.ts";
import { EXPIRED_UNSENT, PRELUDE } from "./lua.ts";

/** One settlement as the scripts take it. */
export const SETTLEMENT = {
  id: string,
  state: string,
  reason: string,
  by: string,
  /** When, us; '' for now. */
  at: string,
  mac: string,
  /** Whether it holds its place. */
  held: boolean,
} as const;
export type StoredSettlement = ArgumentsOf<typeof SETTLEMENT>;

/** For scripts with the local `was_last` (the token is the last owner's) and the arguments `keptMs` and `deadKeptMs`: what SETTLE does for one. */
export const SETTLE_ONE = `
local function settle(settlement)
  if not was_last then return {'not-owner'} end
  local id, state, at = settlement.id, settlement.state, settlement.at
  local was = redis.call('HMGET', record(id), 'keys', 'state')
  if not was[1] then return {'gone'} end
  local keys = cjson.decode(was[1])
  if not is_final(was[2]) then
    finish(id, keys, state, dead[state] and args.deadKeptMs or args.keptMs, settlement.reason, settlement.by,
      at ~= '' and at or nil, settlement.mac, settlement.held)
  end
  return {'settled', unpack(runnable_heads(keys))}
end
`;

/**
 * Records final states. Safe to repeat: a message keeps its first final state.
 * For each settlement {'not-owner'}, {'gone'} or {'settled', heads...}: those that have become runnable.
 *
 * The token is held against the last owner, not against the lease: a worker whose lease lapsed while nobody else
 * took it may still report the outcome of what it sent.
 */
export const SETTLE = defineScript(
  "outboxSettle",
  { token: string, keptMs: integer, deadKeptMs: integer, settlements: objects("settlement", SETTLEMENT) },
  `${PRELUDE}
local token = args.token
local was_last = redis.call('GET', OWNER) == token
${SETTLE_ONE}
local answers = {}
for i, settlement in ipairs(args.settlements) do answers[i] = settle(settlement) end
return answers
`,
);

/**
 * Settles what has outlived its time while it waited, wherever it stands in its queues. What was sent already is left
 * to `begin`. Takes dead letters off their list whose records are gone; one that held its place is left to `begin`, which has it
 * removed from its queues. Answers {how many were looked at, heads...}.
 */
export const EXPIRE = defineScript(
  "outboxExpire",
  { token: string, deadKeptMs: integer, limit: integer },
  `${PRELUDE}
if redis.call('GET', LEASE) ~= args.token then return {0} end
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
local due = redis.call('ZRANGEBYSCORE', EXPIRING, '-inf', now, 'LIMIT', 0, args.limit)
local answer = {#due}
for _, id in ipairs(due) do
  local was = redis.call('HMGET', record(id), 'keys', 'state')
  if was[1] and was[2] == 'queued' then
    local keys = cjson.decode(was[1])
    finish(id, keys, 'expired', args.deadKeptMs, '${EXPIRED_UNSENT}', '')
    for _, head in ipairs(runnable_heads(keys)) do answer[#answer + 1] = head end
  else
    redis.call('ZREM', EXPIRING, id)
  end
end
return answer
`,
);
