import type { Redis } from "ioredis";
import { z } from "zod";
import { problem, type Problem, problemId } from "../../shared/health/problems.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { defineScript, boolean, integer, objects, openScript, string } from "../../shared/redis/script.ts";
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
   * problem is reported once across leaders. False if this worker is no longer the leader.
   */
  note(changes: readonly Change[], at: string, toAlert: boolean): Promise<boolean>;
  next(receiver: Receiver): Promise<{ page: Page; text: string } | undefined>;
  /** It was reported. */
  done(receiver: Receiver, text: string): Promise<void>;
}

const NOTE = defineScript(
  "pagesNote",
  {
    token: string,
    /** `problem` and `page` as they are stored. */
    changes: objects("change", { id: string, kind: string, problem: string, page: string }),
    toAlert: boolean,
    /** How many pages may wait. */
    maxPages: integer,
  },
  `#!lua flags=allow-oom
local base = KEYS[1]
if redis.call('GET', base .. ':lease') ~= args.token then return 0 end
local open = base .. ':problems'
for _, change in ipairs(args.changes) do
  local new = change.kind == 'opened' and redis.call('HSETNX', open, change.id, change.problem)
    or redis.call('HDEL', open, change.id)
  if new == 1 then
    local n = redis.call('HINCRBY', base .. ':pages', 'n', 1)
    local page = string.format('%d %s', n, change.page)
    for _, receiver in ipairs(args.toAlert and {'journal', 'alert'} or {'journal'}) do
      redis.call('RPUSH', base .. ':pages:' .. receiver, page)
      redis.call('LTRIM', base .. ':pages:' .. receiver, -args.maxPages, -1)
    end
  end
end
return 1`,
);

const DONE = defineScript(
  "pagesDone",
  { token: string, receiver: string, page: string },
  `#!lua flags=allow-oom
if redis.call('GET', KEYS[1] .. ':lease') ~= args.token then return 0 end
return redis.call('LREM', KEYS[1] .. ':pages:' .. args.receiver, 1, args.page)`,
);

/** @param onForged called for a record that the bridge did not write, which is not reported */
export function openPageStore(
  redis: Redis,
  keys: OutboxKeys,
  sealer: Sealer,
  token: string,
  onForged: (what: string) => void,
): PageStore {
  const problemsKey = `${keys.base}:problems`;
  const problemIdOf = (id: string) => JSON.stringify([problemsKey, id]);
  const note = openScript(redis, NOTE, [keys.base]);
  const done = openScript(redis, DONE, [keys.base]);
  return {
    async open() {
      const noted = Object.entries(await redis.hgetall(problemsKey));
      return noted.flatMap(([id, stored]) => {
        const opened = openIfAuthentic(sealer, "problem", problemIdOf(id), stored, () => onForged("problem"));
        return (opened !== undefined && problem.safeParse(parseJson(opened)).data) || [];
      });
    },
    async note(changes, at, toAlert) {
      const stored = changes.map(({ kind, problem: p }) => ({
        id: problemId(p),
        kind,
        problem: storeClear(sealer, "problem", problemIdOf(problemId(p)), JSON.stringify(p)),
        page: storeClear(sealer, "page", keys.base, JSON.stringify({ kind, at, problem: p })),
      }));
      return (await note({ token, changes: stored, toAlert, maxPages: MAX_PAGES })) === 1;
    },
    async next(receiver) {
      const waiting = await redis.lindex(`${keys.base}:pages:${receiver}`, 0);
      if (waiting === null) return undefined;
      // A version before wrote the number into the JSON.
      const [, n = /"n":(\d{1,15})/.exec(waiting)?.[1], stored = waiting] = /^(\d{1,15}) (.*)$/s.exec(waiting) ?? [];
      const opened = openIfAuthentic(sealer, "page", keys.base, stored, () => onForged("page"));
      const parsed = page.safeParse(opened === undefined ? undefined : parseJson(opened));
      if (parsed.success) return { page: { n: Number(n), ...parsed.data }, text: waiting };
      // Of another version, or not of the bridge: it would block the rest.
      await done({ token, receiver, page: waiting });
      return undefined;
    },
    done: async (receiver, waiting) => void (await done({ token, receiver, page: waiting })),
  };
}
