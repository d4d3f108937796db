import type { OutboxKeys } from "../redis/keys.ts";
import { openClear } from "../sealing/clear.ts";
import { SealError, type Sealer } from "../sealing/seal.ts";
import { parseJson } from "../util/json.ts";
import { type Found, found } from "./problems.ts";
import { HEARTBEAT_KEPT_MS, type WorkerHealth, workerHealth } from "./worker-health.ts";

/** How far Redis's clock may be off between two questions, as when a replica takes over, us. */
const CLOCK_US = 10_000_000;

/** A heartbeat of which nothing is believed: it was not written by a worker, or these keys cannot tell. */
export interface DoubtedHeartbeat {
  doubt: "forged" | "unverified";
  reason: string;
}

/** What the worker said last; undefined if that is nothing, or nothing that this version can read. */
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

/** What is wrong with a heartbeat of which nothing is believed. */
export const doubtProblem = ({ doubt, reason }: DoubtedHeartbeat): Found =>
  doubt === "forged" ? found("forged-record", { count: 1, last: "heartbeat" }) : found("worker-unverified", { reason });

/**
 * Its age in seconds: by what is left of the time that Redis keeps it, which whoever writes to Redis can prolong; so an old one
 * that was put back is as old as it says.
 * @param leftMs what is left of its time, ms @param now by Redis's clock, us
 */
export function heartbeatAge({ written_at: writtenAt }: WorkerHealth, leftMs: number, now: number): number {
  const kept = Math.max(0, HEARTBEAT_KEPT_MS - leftMs) / 1000;
  const said = writtenAt === null ? 0 : now - writtenAt;
  return said > CLOCK_US ? Math.max(kept, said / 1_000_000) : kept;
}
