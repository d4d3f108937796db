import { defineScript, string, strings } from "../redis/script.ts";
import { PRELUDE } from "./lua.ts";

/**
 * Takes ids whose records are gone (evicted, or deleted by hand), or final although they stand in a queue, out of all queues: of
 * one that was changed in Redis nothing says which queues those are, so all are looked through, a page at each call.
 * `cursor`: '0' at first. Answers {next cursor ('0' at the end), heads...}: those that are runnable now.
 */
export const DROP_ORPHANS = defineScript(
  "outboxDropOrphans",
  { cursor: string, ids: strings },
  `${PRELUDE}
local gone, found = {}, {}
for _, id in ipairs(args.ids) do
  local its = redis.call('HMGET', record(id), 'state', 'held')
  if not its[1] or (is_final(its[1]) and its[2] ~= '1') then
    gone[#gone + 1] = id
    for _, set in ipairs({RUNNABLE, OPEN, EXPIRING, HELD}) do redis.call('ZREM', set, id) end
    release(id)
  end
end
local start = #queue('')
local page = redis.call('SCAN', args.cursor, 'MATCH', queue('*'), 'COUNT', 1000)
for _, name in ipairs(page[2]) do
  for _, id in ipairs(gone) do
    if redis.call('LREM', name, 1, id) > 0 then found[#found + 1] = string.sub(name, start + 1) end
  end
end
return {page[1], unpack(runnable_heads(found))}
`,
);
