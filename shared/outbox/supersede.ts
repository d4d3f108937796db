import { PRELUDE, SUPERSEDED } from "./lua.ts";

/**
 * Ends messages that were never begun, since others take their place. ARGV: lease token, kept_ms, then id and the id of the one in
 * its place, ... Answers {'not-owner'} or {how many, heads...}: those that have become runnable.
 */
export const SUPERSEDE = `${PRELUDE}
if redis.call('GET', OWNER) ~= ARGV[1] then return {'not-owner'} end
local answer = {0}
for i = 3, #ARGV, 2 do
  local was = redis.call('HMGET', record(ARGV[i]), 'keys', 'state', 'sends')
  if was[1] and was[2] == 'queued' and was[3] == '0' then
    local keys = cjson.decode(was[1])
    finish(ARGV[i], keys, 'superseded', ARGV[2], '${SUPERSEDED}', ARGV[i + 1])
    answer[1] = answer[1] + 1
    for _, head in ipairs(runnable_heads(keys)) do answer[#answer + 1] = head end
  end
end
return answer
`;
