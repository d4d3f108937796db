import type { Redis } from "ioredis";
import { z } from "zod";
import { openIfAuthentic, storeClear } from "../sealing/clear.ts";
import type { Sealer } from "../sealing/seal.ts";
import { parseJson } from "../util/json.ts";
import type { JournalKeys } from "./keys.ts";

/** How long a gap is listed, ms, and the maximum number; the journal keeps each as long as any entry. */
const SHOWN_MS = 24 * 3_600_000;
const MAX_SHOWN = 1000;

/** A period in which events may be missing: the payload of `bridge:gap`. */
export const gap = z.object({
  from: z.string().describe("Until then nothing is missing."),
  to: z.string().describe("From then on nothing is missing."),
  reason: z.string(),
});
export type Gap = z.infer<typeof gap>;

/** The gaps of the last 24 h at a glance, whichever worker recorded them. */
export interface Gaps {
  note(gap: Gap): Promise<void>;
  /** Oldest first. */
  recent(): Promise<Gap[]>;
}

/** @param onForged called for a gap not recorded by the bridge, which is left out */
export function openGaps(
  redis: Redis,
  keys: JournalKeys,
  sealer: Sealer,
  now: () => number,
  onForged: () => void,
): Gaps {
  return {
    async note(one) {
      await redis
        .multi()
        .zadd(keys.gaps, Date.parse(one.to), storeClear(sealer, "gap", keys.gaps, JSON.stringify(one)))
        .zremrangebyscore(keys.gaps, "-inf", now() - SHOWN_MS)
        .zremrangebyrank(keys.gaps, 0, -MAX_SHOWN - 1)
        .pexpire(keys.gaps, SHOWN_MS)
        .exec();
    },
    async recent() {
      const found = await redis.zrangebyscore(keys.gaps, now() - SHOWN_MS, "+inf");
      return found.flatMap((stored) => {
        const text = openIfAuthentic(sealer, "gap", keys.gaps, stored, onForged);
        return (text !== undefined && gap.safeParse(parseJson(text)).data) || [];
      });
    },
  };
}
