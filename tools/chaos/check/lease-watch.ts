import { Redis } from "ioredis";
import type { OutboxKeys } from "../../../shared/redis/keys.ts";
import type { OwnerChange } from "./checker.ts";

const EVERY_MS = 20;

/** Who was the leader when, polled in Redis fifty times per second. */
export interface LeaseWatch {
  readonly changes: readonly OwnerChange[];
  /** The worker that last took the lease. */
  owner(): string | undefined;
  stop(): void;
}

export function watchLease(url: string, keys: OutboxKeys): LeaseWatch {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout: 1000,
    connectTimeout: 1000,
    retryStrategy: () => 50,
  });
  redis.on("error", () => undefined); // Redis outages are part of the test
  const changes: OwnerChange[] = [];
  let known: string | undefined;
  let looked = 0;
  let asking = false;

  async function look(): Promise<void> {
    const asked = Date.now();
    const token = await redis.get(keys.owner);
    if (token !== null && token !== known) {
      known = token;
      changes.push({ worker: token.slice(token.indexOf(":") + 1), after: looked, seen: Date.now() });
    }
    looked = asked;
  }
  const timer = setInterval(() => {
    if (asking || redis.status !== "ready") return;
    asking = true;
    void look()
      .catch(() => undefined)
      .finally(() => (asking = false));
  }, EVERY_MS);

  return {
    changes,
    owner: () => changes.at(-1)?.worker,
    stop() {
      clearInterval(timer);
      redis.disconnect();
    },
  };
}
