import { PRELUDE } from "./lua.ts";

/**
 * Takes ids whose records are gone (evicted, or deleted by hand) out of the lines that they stand first in. Only the
 * record says which lines those are, so all are looked through, a page at each call.
 * ARGV: cursor ('0' at first), then ids. Answers {next cursor ('0' at the end), heads...}: those that are runnable now.
 */
export const DROP_ORPHANS = `${PRELUDE}
local gone, found = {}, {}
for i = 2, #ARGV do
  local id = ARGV[i]
  if redis.call('EXISTS', record(id)) == 0 then
    gone[id] = true
    for _, set in ipairs({RUNNABLE, OPEN, EXPIRING, HELD}) do redis.call('ZREM', set, id) end
    release(id)
  end
end
local start = #line('')
local page = redis.call('SCAN', ARGV[1], 'MATCH', line('*'), 'COUNT', 1000)
for _, name in ipairs(page[2]) do
  if gone[redis.call('LINDEX', name, 0)] then
    redis.call('LPOP', name)
    found[#found + 1] = string.sub(name, start + 1)
  end
end
return {page[1], unpack(runnable_heads(found))}
`;
