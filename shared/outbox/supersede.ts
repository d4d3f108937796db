import { defineScript, integer, objects, string } from "../redis/script.ts";
import { PRELUDE, SUPERSEDED } from "./lua.ts";

/**
 * Ends messages that were never begun, since others take their place (`by`). Answers {'not-owner'} or {how many, heads...}: those that have become runnable.
 */
export const SUPERSEDE = defineScript(
  "outboxSupersede",
  { token: string, keptMs: integer, pairs: objects("pair", { id: string, by: string }) },
  `${PRELUDE}
if redis.call('GET', OWNER) ~= args.token then return {'not-owner'} end
local answer = {0}
for _, pair in ipairs(args.pairs) do
  local was = redis.call('HMGET', record(pair.id), 'keys', 'state', 'sends')
  if was[1] and was[2] == 'queued' and was[3] == '0' then
    local keys = cjson.decode(was[1])
    finish(pair.id, keys, 'superseded', args.keptMs, '${SUPERSEDED}', pair.by)
    answer[1] = answer[1] + 1
    for _, head in ipairs(runnable_heads(keys)) do answer[#answer + 1] = head end
  end
end
return answer
`,
);
