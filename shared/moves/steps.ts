import type { Redis } from "ioredis";
import { RELEASE as CALL_WORKER, PRELUDE, STORING_PRELUDE } from "../outbox/lua.ts";
import { outboxKeys } from "../redis/keys.ts";
import { defineScript, integer, openScript, string } from "../redis/script.ts";
import { unitKey } from "../vocabulary/ordering-key.ts";

/** A unit's ordering key, and which of its moves. */
const MOVE = { key: string, n: integer } as const;

/** What the scripts share. `mark`: `away:N` or `here:N` of the last move N that this CAD knows of. A step of an older one does nothing. */
const MOVES = `
local key, n = args.key, args.n
local MOVED, BLOCKED = base .. ':moved', base .. ':moved:barriers'
local barrier = 'move:' .. whole(n) .. ':' .. key
local function last(hash) return tonumber(string.match(redis.call('HGET', hash, key) or '', '(%d+)$') or 0) end
`;

/** Puts the barrier at the end of the unit's queue, once. It looks like a dead letter that holds its place: nothing passes it. */
const BLOCK = defineScript(
  "moveBlock",
  MOVE,
  `${STORING_PRELUDE}${MOVES}
if last(BLOCKED) >= n then return 0 end
redis.call('HSET', BLOCKED, key, whole(n))
redis.call('HSET', record(barrier), 'keys', cjson.encode({key}), 'state', 'moving', 'held', '1')
redis.call('RPUSH', queue(key), barrier)
return 1`,
);

/** `where`: `away` or `here`. */
const MARK = defineScript(
  "moveMark",
  { ...MOVE, where: string },
  `${STORING_PRELUDE}${MOVES}
if last(MOVED) >= n then return 0 end
redis.call('HSET', MOVED, key, args.where .. ':' .. whole(n))
return 1`,
);

/**
 * What is before the move at the old CAD: all before the barrier of a later move. Answers {whether there is anything, how many
 * commands of the first 1000}.
 */
const BEFORE = defineScript(
  "moveBefore",
  MOVE,
  `${PRELUDE}${MOVES}
local any, commands = 0, 0
for _, id in ipairs(redis.call('LRANGE', queue(key), 0, 999)) do
  local of = string.match(id, '^move:(%d+):')
  if of and tonumber(of) > n then break end
  any = 1
  if not of then commands = commands + 1 end
end
return {any, commands}`,
);

const IS_RELEASED = defineScript(
  "moveIsReleased",
  MOVE,
  `${PRELUDE}${MOVES}
return last(BLOCKED) >= n and redis.call('EXISTS', record(barrier)) == 0 and 1 or 0`,
);

/** Takes the barrier away, and has the worker send what waits behind it. */
const RELEASE = defineScript(
  "moveRelease",
  MOVE,
  `${PRELUDE}${CALL_WORKER}${MOVES}
if redis.call('DEL', record(barrier)) == 0 then return 0 end
leave_queues(barrier, {key})
for _, head in ipairs(runnable_heads({key})) do call_worker(head) end
return 1`,
);

/** The steps of a move that concern one CAD, each in one step of Redis; see move.ts. */
export interface MoveSteps {
  block(unit: string, n: number): Promise<void>;
  mark(unit: string, n: number, where: "away" | "here"): Promise<void>;
  /** What it waits for at the CAD that the unit leaves; `commands`: of the first 1000. */
  before(unit: string, n: number): Promise<{ any: boolean; commands: number }>;
  isReleased(unit: string, n: number): Promise<boolean>;
  release(unit: string, n: number): Promise<void>;
}

/** @param prefix the CAD's own */
export function openMoveSteps(redis: Redis, prefix: string): MoveSteps {
  const { base, cad } = outboxKeys(prefix);
  const keys: [string, string] = [base, cad];
  const block = openScript(redis, BLOCK, keys);
  const mark = openScript(redis, MARK, keys);
  const before = openScript(redis, BEFORE, keys);
  const isReleased = openScript(redis, IS_RELEASED, keys);
  const release = openScript(redis, RELEASE, keys);
  return {
    block: async (unit, n) => void (await block({ key: unitKey(unit), n })),
    mark: async (unit, n, where) => void (await mark({ key: unitKey(unit), n, where })),
    async before(unit, n) {
      const reply = await before({ key: unitKey(unit), n });
      const [any, commands] = Array.isArray(reply) ? reply : [];
      return { any: any !== 0, commands: Number(commands ?? 0) };
    },
    isReleased: async (unit, n) => (await isReleased({ key: unitKey(unit), n })) === 1,
    release: async (unit, n) => void (await release({ key: unitKey(unit), n })),
  };
}
