import { defineScript, boolean, integer, objects, type ScriptReply, string, strings } from "../redis/script.ts";
import { BEGIN_ONE, type Begun, parseBegun, type RecordChecks } from "./claim.ts";
import { PRELUDE } from "./lua.ts";
import { SETTLE_ONE, SETTLEMENT, type StoredSettlement } from "./settle.ts";

/** Maximum number of commands, and bytes of payloads, in one call: Redis serves nobody else meanwhile. */
const MOST_LOOKED_AT = 1000;
const MOST_BYTES = 2_000_000;
/** Number of ids taken off `ready` between two checks of the size. */
const CHUNK = 16;

/**
 * What the worker that is awake asks: what may be sent now; it also delivers settlements. Its arguments: see ExchangeAsk.
 *
 * Answers {owner 0|1, awake 0|1, how many are ready still, [what SETTLE answers, in short], [id, BEGIN's answer...]...}. A command
 * that may be on its way already, or that only the worker can judge, comes as {id, 'ask'}. If a reply is lost, what was taken with it
 * stays runnable and begun, and the sweep finds it.
 *
 * Falling asleep is part of the same step: the worker sleeps only if nothing is ready, and whatever is appended later finds that out
 * and asks for an emit job. So no wake-up can be lost in between.
 */
export const EXCHANGE = defineScript(
  "outboxExchange",
  {
    ...{ token: string, keptMs: integer, deadKeptMs: integer, settle: objects("settlement", SETTLEMENT) },
    ...{ offered: strings, take: integer, begins: boolean, maySleep: boolean },
  },
  `${PRELUDE}
local token = args.token
local who = redis.call('MGET', LEASE, OWNER, AWAKE)
local owner, was_last = who[1] == token, who[2] == token
${BEGIN_ONE}
${SETTLE_ONE}
local function make_ready(heads, from)
  for i = from, #heads do redis.call('ZADD', READY, 'NX', now, heads[i]) end
end

for _, id in ipairs(owner and args.offered or {}) do
  if redis.call('ZSCORE', RUNNABLE, id) then redis.call('ZADD', READY, 'NX', now, id) end
end

local function take(id)
  -- Whatever ended it meanwhile took it off this set.
  if not redis.call('ZSCORE', RUNNABLE, id) then return nil end
  if not args.begins then return {'ask'} end
  local answer = begin(id, true)
  if answer[1] == 'settled' then return make_ready(answer, 2) end
  if answer[1] == 'send' then return answer end
  return answer[1] ~= 'waiting' and {'ask'} or nil
end
local settled, taken = {}, {}
local looked, bytes = 0, 0
while owner and #taken < args.take and looked < ${MOST_LOOKED_AT} and bytes < ${MOST_BYTES} do
  local popped = redis.call('ZPOPMIN', READY, math.min(${CHUNK}, args.take - #taken))
  if #popped == 0 then break end
  for i = 1, #popped, 2 do
    local answer = take(popped[i])
    looked = looked + 1
    if answer then
      taken[#taken + 1] = {popped[i], unpack(answer)}
      bytes = bytes + #(answer[4] or '')
    end
  end
end

-- After that: what a settlement makes runnable is begun in a later step. Otherwise a Redis that lost this one would get the
-- settled command sent once more, behind the one that it let go.
for i, settlement in ipairs(args.settle) do
  local answer = settle(settlement)
  settled[i] = answer[1]
  if owner then make_ready(answer, 2) end
end
if not owner then return {0, 0, 0, settled, taken} end

local left = redis.call('ZCARD', READY)
local sleeps = args.maySleep and left == 0 and #taken == 0
if sleeps then redis.call('DEL', AWAKE)
elseif who[3] ~= token then redis.call('SET', AWAKE, token) end
return {1, sleeps and 0 or 1, left, settled, taken}
`,
);

/** Makes runnable commands ready that nobody works on. Answers how many were not. */
export const MAKE_READY = defineScript(
  "outboxMakeReady",
  { ids: strings },
  `${PRELUDE}
local added = 0
for _, id in ipairs(args.ids) do
  -- In the order in which they became runnable.
  local since = redis.call('ZSCORE', RUNNABLE, id)
  if since then added = added + redis.call('ZADD', READY, 'NX', since, id) end
end
return added
`,
);

export interface ExchangeAsk {
  settle: readonly StoredSettlement[];
  /** Ids that emit jobs brought. */
  offered: readonly string[];
  /** How many commands are taken at most. */
  take: number;
  /** Whether they are begun in the same step; else their ids come back alone. */
  begins: boolean;
  /** Nothing is in flight: the worker sleeps if nothing is ready. */
  maySleep: boolean;
}

export interface Exchanged {
  /** Whether this worker may send; if not, nothing was taken. */
  owner: boolean;
  awake: boolean;
  /** How many more are ready. */
  left: number;
  /** The result of each settlement. */
  settled: ("settled" | "gone" | "not-owner")[];
  /** Without `begun`: it is to be asked about by its id. */
  taken: { id: string; begun?: Begun }[];
}

/** What EXCHANGE answered. */
export function parseExchanged(reply: ScriptReply, authentic: RecordChecks): Exchanged {
  const [owner, awake, left, settled, taken] = Array.isArray(reply) ? reply : [];
  return {
    owner: owner === 1,
    awake: awake === 1,
    left: Number(left),
    settled: listOf(settled).map((answer) => (answer === "settled" || answer === "gone" ? answer : "not-owner")),
    taken: listOf(taken).map((row) => {
      const [id, ...answer] = listOf(row);
      const name = String(id);
      return answer[0] === "ask" ? { id: name } : { id: name, begun: parseBegun(name, answer, authentic) };
    }),
  };
}

const listOf = (value: ScriptReply | undefined): ScriptReply[] => (Array.isArray(value) ? value : []);
