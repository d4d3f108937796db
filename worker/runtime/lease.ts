import type { Redis } from "ioredis";
import type { Log } from "../../shared/util/log.ts";
import type { OutboxKeys } from "../../shared/redis/keys.ts";
import {
  defineScript,
  boolean,
  integer,
  object,
  openScript,
  type ScriptReply,
  string,
} from "../../shared/redis/script.ts";
import { readStore } from "../../shared/redis/store-identity.ts";
import { sleep, withDeadline } from "../../shared/util/sleep.ts";
import type { StoreGuard } from "./store-guard.ts";

/** How long the lease lasts in Redis without being renewed, ms. */
const LEASE_MS = 3000;
const RENEW_MS = 800;
/** How long the owner trusts it, counted from when it sent the renewal: it stops before the lease can lapse, ms. */
const TRUSTED_MS = 2500;
/** How often a standby asks for it, ms: with LEASE_MS, it takes over within 5 s of a crash. */
const ASK_MS = 500;
const COMMAND_MS = 1000;

/** A full Redis must not stop the worker: it is what empties it. So the lease's scripts run all the same. */

/**
 * A free lease, or one that an earlier process of the same instance holds, becomes ours under the next epoch, if the store is
 * still the one that was read. Answers {'owner', token}, {'held'} or {'changed'}.
 */
const ACQUIRE = defineScript(
  "leaseAcquire",
  {
    ...{ instance: string, leaseMs: integer },
    /** See StoreClaim. */
    store: object("claim", { seen: string, id: string, cad: string, url: string, lost: boolean, format: integer }),
  },
  `#!lua flags=allow-oom
local lease, owner, epoch, store = KEYS[1] .. ':lease', KEYS[1] .. ':owner', KEYS[1] .. ':epoch', KEYS[1] .. ':store'
local claim = args.store
local held = redis.call('GET', lease)
if held and string.match(held, '^%d+:(.*)$') ~= args.instance then return {'held'} end
if (redis.call('HGET', store, 'id') or '') ~= claim.seen then return {'changed'} end
if tonumber(redis.call('HGET', store, 'format') or 0) > claim.format then return {'changed'} end
redis.call('HSET', store, 'id', claim.id, 'cad', claim.cad, 'url', claim.url, 'format', claim.format)
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
if claim.seen == '' then redis.call('HSET', store, 'created_at', now) end
if claim.lost then redis.call('HSET', store, 'lost_at', now) end
local token = redis.call('INCR', epoch) .. ':' .. args.instance
redis.call('SET', lease, token, 'PX', args.leaseMs)
redis.call('SET', owner, token)
return {'owner', token}`,
);

/** A lease that lapsed, but that nobody took since, is taken up again. */
const RENEW = defineScript(
  "leaseRenew",
  { token: string, leaseMs: integer },
  `#!lua flags=allow-oom
local lease, owner = KEYS[1] .. ':lease', KEYS[1] .. ':owner'
if redis.call('GET', owner) ~= args.token then return 0 end
redis.call('SET', lease, args.token, 'PX', args.leaseMs)
return 1`,
);

const RELEASE = defineScript(
  "leaseRelease",
  { token: string },
  `#!lua flags=allow-oom
if redis.call('GET', KEYS[1] .. ':lease') ~= args.token then return 0 end
return redis.call('DEL', KEYS[1] .. ':lease')`,
);

/** The right to hold the CAD's connection and to send. At most one worker has it. */
export interface Lease {
  readonly token: string;
  readonly epoch: number;
  /** False as soon as it might have lapsed: nothing may be sent then. */
  held(): boolean;
  /** Aborted when it is lost. */
  readonly lost: AbortSignal;
  /** Gives it up, so that a standby takes over at once. */
  release(): Promise<void>;
}

export interface LeaseOptions {
  redis: Redis;
  keys: OutboxKeys;
  /** This worker's name: a process that is started again under the same name takes its lease back. */
  instance: string;
  /** Whose store this worker takes, and what it has seen of it. */
  store: StoreGuard;
  signal: AbortSignal;
  /** Called whenever Redis answered a question about the lease: then it is surely there. */
  onAnswer(): void;
  /** Called whenever it did not, with the error. */
  onFault(error: unknown): void;
  /** Resolves when this worker is to ask for the lease, or the signal aborts; absent: it asks again and again. */
  turn?: ((signal: AbortSignal) => Promise<void>) | undefined;
  log: Log;
}

/** What Redis answered; undefined if it did not in time. */
async function ask<T>({ onAnswer, onFault }: LeaseOptions, question: Promise<T>, what: string): Promise<T | undefined> {
  try {
    const reply = await withDeadline(question, COMMAND_MS, what);
    onAnswer();
    return reply;
  } catch (error) {
    onFault(error);
    return undefined;
  }
}

/** Waits until this worker owns the CAD; undefined if the signal aborts first. A store of another CAD is never taken. */
export async function acquireLease(options: LeaseOptions): Promise<Lease | undefined> {
  const { redis, keys, instance, store, signal, log } = options;
  const acquire = openScript(redis, ACQUIRE, [keys.base]);
  const tryOnce = async (): Promise<ScriptReply> => {
    const claim = store.claim(await readStore(redis, keys));
    if (!claim) return ["refused"];
    return await acquire({ instance, leaseMs: LEASE_MS, store: claim });
  };
  for (let asked = 0; !signal.aborted; asked += 1) {
    await options.turn?.(signal);
    if (signal.aborted) break;
    const sent = performance.now();
    const reply = await ask(options, tryOnce(), "asking for the lease");
    const [answer, token] = Array.isArray(reply) ? reply : [];
    if (answer === "owner" && typeof token === "string") {
      store.taken();
      return keepLease(options, token, sent);
    }
    if (asked === 0 && answer !== "refused")
      log.info({ instance }, "another worker is the leader, or Redis is unavailable: standing by");
    if (!options.turn) await sleep(ASK_MS, signal);
  }
  return undefined;
}

function keepLease(options: LeaseOptions, token: string, acquired: number): Lease {
  const { redis, keys, log } = options;
  const renew = openScript(redis, RENEW, [keys.base]);
  const release = openScript(redis, RELEASE, [keys.base]);
  const lost = new AbortController();
  const over = new AbortController();
  let trustedUntil = acquired + TRUSTED_MS;

  async function keep(): Promise<void> {
    while (!over.signal.aborted) {
      await sleep(RENEW_MS, over.signal);
      if (over.signal.aborted) return;
      const sent = performance.now();
      const reply = await ask(options, renew({ token, leaseMs: LEASE_MS }), "renewing the lease");
      if (reply === 1) trustedUntil = sent + TRUSTED_MS;
      if (reply === 0 || performance.now() >= trustedUntil) {
        log.error({ token, taken: reply === 0 }, "lease lost: this worker stops sending and stands by");
        lost.abort();
        return;
      }
    }
  }
  const keeping = keep();

  return {
    token,
    epoch: Number(token.split(":", 1)[0]),
    held: () => !lost.signal.aborted && !over.signal.aborted && performance.now() < trustedUntil,
    lost: lost.signal,
    async release() {
      over.abort();
      await keeping;
      if (lost.signal.aborted) return;
      // A lease that cannot be given up lapses by itself.
      await ask(options, release({ token }), "giving up the lease");
    },
  };
}
