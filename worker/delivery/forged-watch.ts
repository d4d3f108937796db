import type { Redis } from "ioredis";
import { createAuthenticator, doubtOf, unlessRemoved } from "../../shared/outbox/authentic.ts";
import { headOf } from "../../shared/outbox/outbox.ts";
import type { OwnedOutbox } from "../../shared/outbox/owned.ts";
import { toMicros } from "../../shared/redis/clock.ts";
import { whyFailed } from "../../shared/redis/fault.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import type { Log } from "../../shared/util/log.ts";
import { sleep } from "../../shared/util/sleep.ts";

/** How often some of what waits is looked at, ms, and about how many. A backlog of 10,000 takes some minutes. */
const LOOK_MS = 2000;
const AT_ONCE = 100;
/** A message that was sent is left to its sender for this time, us: longer than any confirmation may take. */
const SENT_US = 60_000_000;

const FIELDS = [
  ...(["kind", "keys", "user", "role", "fingerprint", "latest", "ttl", "redrive_of", "issued_at", "head"] as const),
  ...(["state", "accepted_at", "sent_at", "sends"] as const),
] as const;

export interface ForgedWatchOptions {
  redis: Redis;
  keys: OutboxKeys;
  sealer: Sealer;
  outbox: Pick<OwnedOutbox, "settle" | "dropOrphans">;
  onForged(id: string): void;
  /** Those can be sent now. */
  onRunnable(ids: string[]): void;
  signal: AbortSignal;
  log: Log;
}

/**
 * Ends what waits and was changed in Redis so that it is never begun: with other ordering keys than those of the queues that it
 * stands in, it is first in none. Every other forgery is found when its turn comes. Runs until the signal aborts. Never rejects.
 */
export async function watchForged(options: ForgedWatchOptions): Promise<void> {
  const { redis, keys, sealer, outbox, signal, log } = options;
  const authentic = createAuthenticator(sealer, keys.base);
  if (!sealer.keyed) return;

  async function settleIfForged(id: string, now: number): Promise<void> {
    const values = await redis.hmget(keys.record(id), ...FIELDS);
    const s = Object.fromEntries(FIELDS.map((name, i) => [name, values[i] ?? ""])) as Stored;
    if (s.kind === "" || (s.state !== "queued" && s.state !== "sent")) return;
    if (s.state === "sent" && now - Number(s.sent_at) < SENT_US) return;
    const doubt = doubtOf(() =>
      unlessRemoved(() => authentic.checkHead(headOf(id, s), s.head), s.issued_at !== "" || s.head !== ""),
    );
    if (doubt?.code !== "tampered") return;
    options.onForged(id);
    const stored = { storedAcceptedAt: s.accepted_at, storedSentAt: s.sent_at, sends: Number(s.sends), doubt };
    const times = { begunAt: now, begunHere: performance.now() };
    await outbox.settle({ id, state: "failed", reason: `forged: ${doubt.message}`, by: "" }, { ...stored, ...times });
    // Its record does not say which queues it stands in.
    options.onRunnable(await outbox.dropOrphans(id));
  }

  for (let cursor = "0"; !signal.aborted; await sleep(LOOK_MS, signal)) {
    try {
      const [next, pairs] = await redis.zscan(keys.open, cursor, "COUNT", AT_ONCE);
      cursor = next;
      const now = toMicros(await redis.time());
      for (const id of pairs.filter((_, i) => i % 2 === 0)) await settleIfForged(id, now);
    } catch (error) {
      if (!signal.aborted) log.debug({ reason: whyFailed(error) }, "what waits could not be checked");
    }
  }
}

type Stored = Record<(typeof FIELDS)[number], string>;
