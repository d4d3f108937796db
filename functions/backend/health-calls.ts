import type { Redis } from "ioredis";
import { type DoubtedHeartbeat, heartbeatAge, parseHeartbeat } from "../../shared/health/heartbeat.ts";
import type { WorkerHealth } from "../../shared/health/worker-health.ts";
import type { Backlog } from "../../shared/outbox/backlog.ts";
import { type Bounds, withoutReserve } from "../../shared/outbox/bounds.ts";
import { toMicros } from "../../shared/redis/clock.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import { askWhetherFull } from "../../shared/redis/script.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";

/** The worker's last heartbeat, and its age. */
export interface LastHeartbeat {
  health: WorkerHealth;
  ageSeconds: number;
  /** Whether a worker holds the lease now. */
  owned: boolean;
}

/** The last heartbeat as stored in Redis; undefined if there is none. */
export type ReadHeartbeat = LastHeartbeat | DoubtedHeartbeat | undefined;

export const trustedHeartbeat = (heartbeat: ReadHeartbeat): LastHeartbeat | undefined =>
  heartbeat && "doubt" in heartbeat ? undefined : heartbeat;

/** The commands' backlog; `full`: why no more of them are accepted; `crews`: of that role. */
export type CommandBacklog = Backlog & { full?: "redis" | "backlog" | "crews" };

/** How the bridge is, as Redis knows it. */
export interface HealthCalls {
  backlog(): Promise<CommandBacklog>;
  lastHeartbeat(): Promise<ReadHeartbeat>;
}

/** @param onForged called for a heartbeat that no worker wrote */
export function createHealthCalls(
  redis: Redis,
  keys: OutboxKeys,
  sealer: Sealer,
  bounds: Bounds,
  readBacklog: () => Promise<Backlog>,
  onForged: (what: string) => void,
): HealthCalls {
  const isFull = askWhetherFull(redis, keys.base);
  return {
    async backlog() {
      const [backlog, redisIsFull] = await Promise.all([readBacklog(), isFull()]);
      if (redisIsFull) return { ...backlog, full: "redis" };
      const { backlog: most, bytes, reservePercent } = bounds;
      const fills = (percent: number) =>
        backlog.unsettled >= withoutReserve(most, percent) ||
        (bytes > 0 && backlog.unsettledBytes >= withoutReserve(bytes, percent));
      if (fills(0)) return { ...backlog, full: "backlog" };
      return fills(reservePercent) ? { ...backlog, full: "crews" } : backlog;
    },

    async lastHeartbeat() {
      const [text, left, lease, time] = await Promise.all([
        redis.get(keys.health),
        redis.pttl(keys.health),
        redis.exists(keys.lease),
        redis.time(),
      ]);
      const health = parseHeartbeat(text, sealer, keys);
      if (health && "doubt" in health) {
        if (health.doubt === "forged") onForged("heartbeat");
        return health;
      }
      if (!health || left < 0) return undefined;
      return { health, ageSeconds: heartbeatAge(health, left, toMicros(time)), owned: lease === 1 };
    },
  };
}
