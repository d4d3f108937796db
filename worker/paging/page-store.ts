import type { Redis } from "ioredis";
import { z } from "zod";
import { problem, type Problem, problemId } from "../../shared/health/problems.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { script } from "../../shared/redis/redis.ts";
import { openIfAuthentic, storeClear } from "../../shared/sealing/clear.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import { parseJson } from "../../shared/util/json.ts";

/** How many pages wait at most for each receiver; the oldest give way. */
const MAX_PAGES = 1000;

export const PAGE_KINDS = ["opened", "resolved"] as const;
/** One thing to report: a problem opened, or was resolved. `n` counts them, for ever. */
const page = z.object({ kind: z.enum(PAGE_KINDS), problem, at: z.string() });
export type Page = z.infer<typeof page> & { n: number };
/** Where pages go. */
export type Receiver = "journal" | "alert";

export interface Change {
  kind: Page["kind"];
  problem: Problem;
}

/** Which problems were reported as open, and what is still to be reported. Only the leader changes it. */
export interface PageStore {
  open(): Promise<Problem[]>;
  /**
   * Notes what opened and what was resolved, and queues a page for each that was not noted before: in one step, so that a
   * problem is reported once, whoever leads. False if this worker does not lead any more.
   */
  note(changes: readonly Change[], at: string, toAlert: boolean): Promise<boolean>;
  next(receiver: Receiver): Promise<{ page: Page; text: string } | undefined>;
  /** It was reported. */
  done(receiver: Receiver, text: string): Promise<void>;
}

/** ARGV: lease token, changes (JSON: id, kind, problem and page as texts), '1' if there is an alert receiver, how many pages may wait. */
const NOTE = `#!lua flags=allow-oom
local base = KEYS[1]
if redis.call('GET', base .. ':lease') ~= ARGV[1] then return 0 end
local open = base .. ':problems'
for _, change in ipairs(cjson.decode(ARGV[2])) do
  local id, kind, text, said = unpack(change)
  local new = kind == 'opened' and redis.call('HSETNX', open, id, text) or redis.call('HDEL', open, id)
  if new == 1 then
    local n = redis.call('HINCRBY', base .. ':pages', 'n', 1)
    local page = string.format('%d %s', n, said)
    for _, receiver in ipairs(ARGV[3] == '1' and {'journal', 'alert'} or {'journal'}) do
      redis.call('RPUSH', base .. ':pages:' .. receiver, page)
      redis.call('LTRIM', base .. ':pages:' .. receiver, -ARGV[4], -1)
    end
  end
end
return 1`;

/** ARGV: lease token, receiver, page. */
const DONE = `#!lua flags=allow-oom
if redis.call('GET', KEYS[1] .. ':lease') ~= ARGV[1] then return 0 end
return redis.call('LREM', KEYS[1] .. ':pages:' .. ARGV[2], 1, ARGV[3])`;

/** @param onForged called for what the bridge did not note: nobody is told of it */
export function openPageStore(
  redis: Redis,
  keys: OutboxKeys,
  sealer: Sealer,
  token: string,
  onForged: (what: string) => void,
): PageStore {
  const problemsKey = `${keys.base}:problems`;
  const problemIdOf = (id: string) => JSON.stringify([problemsKey, id]);
  const note = script(redis, "pagesNote", NOTE, [keys.base]);
  const done = script(redis, "pagesDone", DONE, [keys.base]);
  return {
    async open() {
      const noted = Object.entries(await redis.hgetall(problemsKey));
      return noted.flatMap(([id, stored]) => {
        const text = openIfAuthentic(sealer, "problem", problemIdOf(id), stored, () => onForged("problem"));
        return (text !== undefined && problem.safeParse(parseJson(text)).data) || [];
      });
    },
    async note(changes, at, toAlert) {
      const rows = changes.map(({ kind, problem: p }) => [
        ...[problemId(p), kind, storeClear(sealer, "problem", problemIdOf(problemId(p)), JSON.stringify(p))],
        storeClear(sealer, "page", keys.base, JSON.stringify({ kind, at, problem: p })),
      ]);
      return (await note(token, JSON.stringify(rows), toAlert ? "1" : "", MAX_PAGES)) === 1;
    },
    async next(receiver) {
      const text = await redis.lindex(`${keys.base}:pages:${receiver}`, 0);
      if (text === null) return undefined;
      // A version before wrote the number into the JSON.
      const [, n = /"n":(\d{1,15})/.exec(text)?.[1], stored = text] = /^(\d{1,15}) (.*)$/s.exec(text) ?? [];
      const said = openIfAuthentic(sealer, "page", keys.base, stored, () => onForged("page"));
      const parsed = page.safeParse(said === undefined ? undefined : parseJson(said));
      if (parsed.success) return { page: { n: Number(n), ...parsed.data }, text };
      // Of another version, or not of the bridge: it would block the rest.
      await done(token, receiver, text);
      return undefined;
    },
    done: async (receiver, text) => void (await done(token, receiver, text)),
  };
}
