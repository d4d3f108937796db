import type { ScriptReply } from "../redis/redis.ts";
import { PRELUDE } from "./lua.ts";

/**
 * Notes that a message was sent in vain, and until when it rests in its place; begin holds to it, whoever owns the CAD then.
 * ARGV: lease token, id, the record's field that counts the attempts, how often it may happen without counting as one, then the waits
 * after the first, second, ... attempt (us). Answers {'not-owner'}, {'gone'}, {'again', us, attempts} or {'used-up', attempts}.
 */
export const SCHEDULE_RETRY = `${PRELUDE}
local token, id, counter, spared = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if redis.call('GET', OWNER) ~= token then return {'not-owner'} end
local was = redis.call('HMGET', record(id), 'state', counter, 'early', 'spared')
if not was[1] or is_final(was[1]) then return {'gone'} end
local attempts = tonumber(was[2] or 0)
if spared > tonumber(was[4] or 0) then
  redis.call('HINCRBY', record(id), 'spared', 1)
  return {'again', '0', attempts}
end
-- An attempt that was made before its time does not count: the schedule stands.
if was[3] == '1' then
  redis.call('HDEL', record(id), 'early')
  local left = rest_left(id)
  if left > 0 then return {'again', whole(left), attempts} end
end
attempts = redis.call('HINCRBY', record(id), counter, 1)
local wait = ARGV[4 + attempts]
if not wait then return {'used-up', attempts} end
redis.call('HSET', record(id), 'retry_at', whole(now + wait), 'rest', wait)
return {'again', wait, attempts}
`;

/** What a message that was sent in vain does next; `attempts`: how many failed so far. */
export type RetrySchedule =
  | { answer: "again"; inMs: number; attempts: number }
  | { answer: "used-up"; attempts: number };

/** What SCHEDULE_RETRY answered. */
export function parseRetrySchedule(reply: ScriptReply): RetrySchedule | { answer: "not-owner" } {
  const [answer, ...rest] = Array.isArray(reply) ? reply : [];
  if (answer === "not-owner") return { answer };
  if (answer === "used-up") return { answer, attempts: Number(rest[0]) };
  // One that is gone, or final, is asked about again: begin knows.
  if (answer === "gone") return { answer: "again", inMs: 0, attempts: 0 };
  return { answer: "again", inMs: Number(rest[0]) / 1000, attempts: Number(rest[1]) };
}

/** Lets every message that rests be tried once before its time. ARGV: lease token. Answers how many they are. */
export const RETRY_NOW = `${PRELUDE}
if redis.call('GET', OWNER) ~= ARGV[1] then return 0 end
local count = 0
for _, id in ipairs(redis.call('ZRANGE', RUNNABLE, 0, 9999)) do
  if rest_left(id) > 0 then
    redis.call('HSET', record(id), 'early', '1')
    count = count + 1
  end
end
return count
`;
