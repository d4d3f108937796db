import type { OutboxKeys } from "../redis/keys.ts";
import { openClear } from "../sealing/clear.ts";
import { SealError, type Sealer } from "../sealing/seal.ts";
import { parseJson } from "../util/json.ts";
import { type Found, found } from "./problems.ts";
import { HEARTBEAT_KEPT_MS, type WorkerHealth, workerHealth } from "./worker-health.ts";

/** How far Redis's clock may jump between two reads, as when a replica takes over, us. */
const CLOCK_US = 10_000_000;

/** A heartbeat that is not trusted: no worker wrote it, or these keys cannot verify it. */
export interface DoubtedHeartbeat {
  doubt: "forged" | "unverified";
  reason: string;
}

/** The worker's last heartbeat; undefined if there is none, or none that this version can read. */
export function parseHeartbeat(
  stored: string | null,
  sealer: Sealer,
  keys: OutboxKeys,
): WorkerHealth | DoubtedHeartbeat | undefined {
  if (stored === null) return undefined;
  try {
    return workerHealth.safeParse(parseJson(openClear(sealer, "heartbeat", keys.health, stored))).data;
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return { doubt: error.code === "tampered" ? "forged" : "unverified", reason: error.message };
  }
}

/** The problem of a heartbeat that is not trusted. */
export const doubtProblem = ({ doubt, reason }: DoubtedHeartbeat): Found =>
  doubt === "forged" ? found("forged-record", { count: 1, last: "heartbeat" }) : found("worker-unverified", { reason });

/**
 * Its age in seconds: by its remaining time to live, which anyone who can write to Redis can extend, and at least by its own time, so
 * that an old one that was put back shows its age.
 * @param leftMs remaining time to live, ms @param now by Redis's clock, us
 */
export function heartbeatAge({ written_at: writtenAt }: WorkerHealth, leftMs: number, now: number): number {
  const kept = Math.max(0, HEARTBEAT_KEPT_MS - leftMs) / 1000;
  const age = writtenAt === null ? 0 : now - writtenAt;
  return age > CLOCK_US ? Math.max(kept, age / 1_000_000) : kept;
}
