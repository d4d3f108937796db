import type { Redis } from "ioredis";
import { z } from "zod";
import type { OutboxKeys } from "../redis/keys.ts";
import { defineScript, openScript, string } from "../redis/script.ts";
import { openIfAuthentic, storeClear } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import { parseJson } from "../util/json.ts";

/** One attempt to deliver an event; never a payload, a header or more of the address than its host. */
export const attempt = z.object({
  at: z.string(),
  response: z.int().nullable().meta({ description: "The HTTP status; null if no answer came." }),
  reason: z.string().nullable().meta({ description: "Why it failed; null if it was delivered." }),
  duration_ms: z.number().nullable(),
});
export type Attempt = z.infer<typeof attempt>;

/** The same in the list of a destination. */
export const destinationAttempt = attempt.extend({
  message_id: z.string(),
  event: z.string(),
  number: z.int().meta({ description: "1 for the first attempt at this message." }),
});
export type DestinationAttempt = z.infer<typeof destinationAttempt>;

/** Number of attempts kept per message, the last ones. */
const KEPT = 20;
/** Number of attempts kept per destination: the last ones, and separately the last failed ones. */
export const RECENT = 20;
export const RECENT_FAILED = 30;
/** Maximum length of a reason, characters. */
export const REASON_LENGTH = 200;

/** KEYS[1]: the base name. Does not recreate a deleted record. */
const NOTE = defineScript(
  "outboxNoteTries",
  { id: string, tries: string },
  `#!lua flags=allow-oom
local record = KEYS[1] .. ':record:' .. args.id
if redis.call('EXISTS', record) == 1 then redis.call('HSET', record, 'tries', args.tries) end
return 1`,
);

const stored = z.array(attempt);

/** The last attempts at each message, at most 20, kept in its record. */
export interface MessageAttempts {
  /** Oldest first. A forged record counts as missing. */
  read(id: string): Promise<Attempt[]>;
  note(id: string, done: Attempt): Promise<void>;
}

const macId = (keys: OutboxKeys, id: string): string => JSON.stringify([keys.base, id]);

/** The attempts at a message, from the `tries` of its record. A forged list counts as missing. */
export function parseAttempts(
  sealer: Sealer,
  keys: OutboxKeys,
  id: string,
  text: string | null | undefined,
): Attempt[] {
  const opened = text ? openIfAuthentic(sealer, "attempts", macId(keys, id), text) : undefined;
  return opened === undefined ? [] : (stored.safeParse(parseJson(opened)).data ?? []);
}

export function openMessageAttempts(redis: Redis, keys: OutboxKeys, sealer: Sealer): MessageAttempts {
  const write = openScript(redis, NOTE, [keys.base]);
  const read = async (id: string) => parseAttempts(sealer, keys, id, await redis.hget(keys.record(id), "tries"));
  return {
    read,
    async note(id, done) {
      const all = [...(await read(id)), done].slice(-KEPT);
      await write({ id, tries: storeClear(sealer, "attempts", macId(keys, id), JSON.stringify(all)) });
    },
  };
}
