import { defineScript, integer, type ScriptReply, string, strings } from "../redis/script.ts";
import { PRELUDE } from "./lua.ts";

/**
 * Records a failed attempt, and until when the message waits in its place for the next one; begin enforces that under any leader.
 * Returns {'not-owner'}, {'gone'}, {'again', us, attempts} or {'used-up', attempts}.
 */
export const SCHEDULE_RETRY = defineScript(
  "outboxScheduleRetry",
  {
    token: string,
    id: string,
    /** The record's field that counts attempts. */
    counter: string,
    /** How often it may fail without counting as an attempt. */
    throttled: integer,
    /** After the first, second, ... attempt, us. */
    waits: strings,
  },
  `${PRELUDE}
local id, counter = args.id, args.counter
if redis.call('GET', OWNER) ~= args.token then return {'not-owner'} end
local was = redis.call('HMGET', record(id), 'state', counter, 'early', 'spared')
if not was[1] or is_final(was[1]) then return {'gone'} end
-- Stored under the name spared: the throttled attempts so far.
local attempts, throttled_count = tonumber(was[2] or 0), tonumber(was[4] or 0)
if args.throttled > throttled_count then
  redis.call('HINCRBY', record(id), 'spared', 1)
  return {'again', '0', attempts}
end
-- An early attempt does not count: the schedule stays as it is.
if was[3] == '1' then
  redis.call('HDEL', record(id), 'early')
  local left = rest_left(id)
  if left > 0 then return {'again', whole(left), attempts} end
end
attempts = redis.call('HINCRBY', record(id), counter, 1)
local wait = args.waits[attempts]
if not wait then return {'used-up', attempts} end
redis.call('HSET', record(id), 'retry_at', whole(now + wait), 'rest', wait)
return {'again', wait, attempts}
`,
);

/** What a message does after a failed attempt; `attempts`: how many failed so far. */
export type RetrySchedule =
  | { answer: "again"; inMs: number; attempts: number }
  | { answer: "used-up"; attempts: number };

/** Parses the reply of SCHEDULE_RETRY. */
export function parseRetrySchedule(reply: ScriptReply): RetrySchedule | { answer: "not-owner" } {
  const [answer, ...rest] = Array.isArray(reply) ? reply : [];
  if (answer === "not-owner") return { answer };
  if (answer === "used-up") return { answer, attempts: Number(rest[0]) };
  // One that is gone, or final, is asked about again: begin knows.
  if (answer === "gone") return { answer: "again", inMs: 0, attempts: 0 };
  return { answer: "again", inMs: Number(rest[0]) / 1000, attempts: Number(rest[1]) };
}

/** Lets every message that waits for a retry be tried once before its time. Returns their number. */
export const RETRY_NOW = defineScript(
  "outboxRetryNow",
  { token: string },
  `${PRELUDE}
if redis.call('GET', OWNER) ~= args.token then return 0 end
local count = 0
for _, id in ipairs(redis.call('ZRANGE', RUNNABLE, 0, 9999)) do
  if rest_left(id) > 0 then
    redis.call('HSET', record(id), 'early', '1')
    count = count + 1
  end
end
return count
`,
);
