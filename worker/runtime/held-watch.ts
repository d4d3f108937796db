import type { Redis } from "ioredis";
import { heldProblems } from "../../shared/health/held-problems.ts";
import type { Found } from "../../shared/health/problems.ts";
import { openBacklog } from "../../shared/outbox/backlog.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";

const LOOK_MS = 1000;
const READ_MS = 1000;

/** Looks which dead letters hold their place: they stay in Redis over restarts, and over changes of HOLD. */
export interface HeldWatch {
  /** Until the signal aborts. Never rejects. */
  run(): Promise<void>;
  problems(): Found[];
}

export function createHeldWatch({
  redis,
  keys,
  signal,
}: {
  redis: Redis;
  keys: OutboxKeys;
  signal: AbortSignal;
}): HeldWatch {
  const backlog = openBacklog(redis, keys);
  let seen: Found[] = [];
  return {
    async run() {
      for (; !signal.aborted; await sleep(LOOK_MS, signal)) {
        // While Redis does not answer, what was seen last stands.
        const now = await withDeadline(backlog(), READ_MS, "reading the backlog").catch(() => undefined);
        if (now) seen = heldProblems(now.held, now.now);
      }
    },
    problems: () => seen,
  };
}
