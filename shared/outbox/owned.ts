import type { Redis } from "ioredis";
import { batched } from "../util/batch.ts";
import type { OrderingKey } from "../vocabulary/ordering-key.ts";
import { askWhetherFull, defineScript, openScript, type ScriptReply, string, strings } from "../redis/script.ts";
import type { Sealer } from "../sealing/seal.ts";
import { createAuthenticator } from "./authentic.ts";
import { BEGIN, type Begun, parseBegun, parseKeys, PUT_BACK, type ToSend } from "./claim.ts";
import { toMicros } from "../redis/clock.ts";
import { DROP_ORPHANS } from "./drop-orphans.ts";
import { EXCHANGE, type ExchangeAsk, type Exchanged, MAKE_READY, parseExchanged } from "./exchange.ts";
import type { OutboxKeys } from "../redis/keys.ts";
import { PRELUDE } from "./lua.ts";
import { KEPT_MS } from "./outbox.ts";
import { RETRY_NOW, parseRetrySchedule, SCHEDULE_RETRY, type RetrySchedule } from "./schedule-retry.ts";
import { EXPIRE, SETTLE, type StoredSettlement } from "./settle.ts";
import { type FinalState, mayHold } from "./states.ts";
import { SUPERSEDE } from "./supersede.ts";

export interface Settlement {
  id: string;
  state: FinalState;
  /** Why, in words for people; never a payload. */
  reason: string;
  /** What proved it: ack, echo, barrier, or a destination's `response:204`; empty if nothing did. */
  by: string;
}

/** What of a begin goes into the outcome; `storedSentAt`: of one that is ended without, as its record has it. */
export type Begin = Pick<ToSend, "storedAcceptedAt" | "begunAt" | "begunHere" | "sends" | "doubt"> &
  Partial<Pick<ToSend, "kind">> & { storedSentAt?: string };

/** Another worker owns the CAD, or nobody does: this one must not send or settle. */
export class NotOwner extends Error {
  override name = "NotOwner";
  constructor() {
    super("this worker does not own the CAD any more; it stops sending and stands by");
  }
}

/** The side of the outbox that only the owner of the CAD may touch. */
export interface OwnedOutbox {
  /** Marks it sent, if it may be sent now. Asked right before every send and after every wait. */
  begin(id: string): Promise<Begun>;
  /** Takes back a begin after which nothing was sent: it waits in its place, and the attempt does not count. */
  putBack(id: string): Promise<void>;
  /** What it is and whose; undefined if its record is gone. */
  aboutOf(id: string): Promise<{ kind: string; keys: OrderingKey[]; user: string } | undefined>;
  /** Notes that those are not neglected: they are known here, and wait for the receiver. */
  noteWaiting(ids: readonly string[]): Promise<void>;
  /** Takes one whose record is gone, or final, out of all queues; answers with those that have become runnable. */
  dropOrphans(id: string): Promise<string[]>;
  /** Notes that the receiver refused it for now; answers how often it has. */
  refused(id: string): Promise<number>;
  /**
   * Notes that it was sent in vain, and lets it rest in its place, past a restart too.
   * @param waitsMs after the first, second, ... attempt
   * @param throttled how often it may fail without counting as an attempt, and without a wait
   * @param counter what of it is counted: refusals, or sends that went unanswered
   */
  scheduleRetry(
    id: string,
    waitsMs: readonly number[],
    throttled: number,
    counter?: "refusals" | "unanswered",
  ): Promise<RetrySchedule>;
  /** Lets all that rest be tried once before their time; that attempt does not count. */
  retryNow(): Promise<void>;
  /** True while Redis takes nothing more. What the owner needs to empty it works all the same. */
  isFull(): Promise<boolean>;
  /**
   * Records a final state, and answers with those that have become runnable. Throws NotOwner.
   * @param begun what was begun: with it the outcome is authenticated, without it nobody believes it where there are keys
   */
  settle(settlement: Settlement, begun?: Begin): Promise<string[]>;
  /** A settlement as `exchange` takes it; see `settle`. */
  toStored(settlement: Settlement, begun?: Begin): StoredSettlement;
  /** Settles, and takes what may be sent now, in one step. Of the commands alone. */
  exchange(ask: ExchangeAsk): Promise<Exchanged>;
  /** Has the next exchange take these, if they are runnable; answers how many it would not have taken. Of the commands alone. */
  makeReady(ids: readonly string[]): Promise<number>;
  /** Ends those that were never begun, since others take their place; answers with those that have become runnable. Throws NotOwner. */
  supersede(pairs: readonly { id: string; by: string }[]): Promise<string[]>;
  /** Settles what outlived its time while it waited; answers with those that have become runnable. */
  expire(): Promise<string[]>;
  /** All runnable ids, in pages: each that is runnable all the while, at least once. */
  allRunnable(): AsyncGenerator<string[]>;
  /** Runnable ids in pages, the longest neglected first; `idleMs`: only those neglected for at least this time. */
  runnable(idleMs: number): AsyncGenerator<string[]>;
}

const PAGE = 500;
/** A time of becoming runnable that is ahead by more than this was recorded before Redis's clock was set back, us. */
const AHEAD_US = 10_000_000;
/** As if they had just been begun: their age in the set shows what nobody works on. */
const WAITING = defineScript(
  "outboxWaiting",
  { ids: strings },
  `${PRELUDE}
for _, id in ipairs(args.ids) do redis.call('ZADD', RUNNABLE, 'XX', now, id) end
return 1`,
);
const REFUSED = defineScript(
  "outboxRefused",
  { id: string },
  `${PRELUDE} return redis.call('HINCRBY', record(args.id), 'refusals', 1)`,
);

/**
 * @param sealer checks what it begins, and authenticates outcomes
 * @param token the lease's; begin and settle are refused without it
 * @param deadKeptMs how long a dead letter is kept
 * @param keptMs how long any other settled record is
 * @param hold kinds of messages whose dead letters hold their place
 */
export function openOwnedOutbox(
  redis: Redis,
  keys: OutboxKeys,
  sealer: Sealer,
  token: string,
  deadKeptMs: number,
  keptMs: number = KEPT_MS,
  hold: ReadonlySet<string> = new Set(),
): OwnedOutbox {
  const beginScript = openScript(redis, BEGIN, [keys.base, keys.cad]);
  const putBackScript = openScript(redis, PUT_BACK, [keys.base, keys.cad]);
  const scheduleRetryScript = openScript(redis, SCHEDULE_RETRY, [keys.base, keys.cad]);
  const retryNowScript = openScript(redis, RETRY_NOW, [keys.base, keys.cad]);
  const settleScript = openScript(redis, SETTLE, [keys.base, keys.cad]);
  const exchangeScript = openScript(redis, EXCHANGE, [keys.base, keys.cad]);
  const makeReadyScript = openScript(redis, MAKE_READY, [keys.base, keys.cad]);
  const supersedeScript = openScript(redis, SUPERSEDE, [keys.base, keys.cad]);
  const expireScript = openScript(redis, EXPIRE, [keys.base, keys.cad]);
  const refusedScript = openScript(redis, REFUSED, [keys.base, keys.cad]);
  const waitingScript = openScript(redis, WAITING, [keys.base, keys.cad]);
  const dropOrphansScript = openScript(redis, DROP_ORPHANS, [keys.base, keys.cad]);

  const authentic = createAuthenticator(sealer, keys.base);
  function toStored(settlement: Settlement, begun?: Begin): StoredSettlement {
    const { id, state, by } = settlement;
    // The JSON of scripts refuses half of a surrogate pair; so does the MAC.
    const reason = settlement.reason.toWellFormed();
    if (!begun) return { id, state, reason, by, at: "", mac: "", held: false };
    // What somebody changed in Redis is not believed: it cannot be sent again, and is not to hold anything up.
    const held = mayHold(state) && hold.has(begun.kind ?? "") && !begun.doubt;
    const at = settledAt(begun);
    const sentAt = begun.storedSentAt ?? String(begun.begunAt);
    const times = { acceptedAt: begun.storedAcceptedAt, sentAt, sends: String(begun.sends), settledAt: at };
    const final = { id, state, reason, by, ...times, held };
    return { id, state, reason, by, at, mac: authentic.final(final), held };
  }

  const settleBatch = batched(async (settlements: StoredSettlement[]) =>
    rows(await settleScript({ token, keptMs, deadKeptMs, settlements })),
  );

  return {
    begin: batched(async (ids: string[]) =>
      rows(await beginScript({ token, keptMs, deadKeptMs, ids })).map((row, i) =>
        parseBegun(ids[i] ?? "", row, authentic),
      ),
    ),

    putBack: async (id) => void (await putBackScript({ token, id })),

    async aboutOf(id) {
      const [kind, ordering, user] = await redis.hmget(keys.record(id), "kind", "keys", "user");
      return kind ? { kind, keys: parseKeys(ordering), user: user ?? "" } : undefined;
    },

    noteWaiting: async (ids) => void (await waitingScript({ ids })),

    // One look through the queues at a time, for all that are asked about meanwhile.
    dropOrphans: batched(async (ids: string[]) => {
      const runnable: string[] = [];
      for (let cursor = "0"; ;) {
        const reply = await dropOrphansScript({ cursor, ids });
        const [next, ...heads] = Array.isArray(reply) ? reply.map(String) : [];
        runnable.push(...heads);
        if (next === undefined || next === "0") return ids.map((_, i) => (i === 0 ? runnable : []));
        cursor = next;
      }
    }),

    refused: async (id) => Number(await refusedScript({ id })),

    isFull: askWhetherFull(redis, keys.base),

    async scheduleRetry(id, waitsMs, throttled, counter = "refusals") {
      const waits = waitsMs.map((ms) => String(Math.round(ms * 1000)));
      const schedule = parseRetrySchedule(await scheduleRetryScript({ token, id, counter, throttled, waits }));
      if (schedule.answer === "not-owner") throw new NotOwner();
      return schedule;
    },

    retryNow: async () => void (await retryNowScript({ token })),

    async settle(settlement, begun) {
      const [answer, ...runnable] = await settleBatch(toStored(settlement, begun));
      if (answer === "not-owner") throw new NotOwner();
      return runnable.map(String);
    },

    toStored,

    async exchange(ask) {
      return parseExchanged(await exchangeScript({ ...ask, token, keptMs, deadKeptMs }), authentic);
    },

    makeReady: async (ids) => (ids.length === 0 ? 0 : Number(await makeReadyScript({ ids }))),

    async supersede(pairs) {
      if (pairs.length === 0) return [];
      const [first, ...heads] = rowOf(await supersedeScript({ token, keptMs, pairs }));
      if (first === "not-owner") throw new NotOwner();
      return heads.map(String);
    },

    async expire() {
      const runnable: string[] = [];
      for (;;) {
        const reply = await expireScript({ token, deadKeptMs, limit: PAGE });
        const [seen, ...heads] = Array.isArray(reply) ? reply : [0];
        runnable.push(...heads.map(String));
        if (Number(seen) < PAGE) return runnable;
      }
    },

    async *allRunnable() {
      for (let cursor = "", next = "0"; cursor !== "0"; cursor = next) {
        const [following, pairs] = await redis.zscan(keys.runnable, next, "COUNT", PAGE);
        next = following;
        const ids = pairs.filter((_, i) => i % 2 === 0);
        if (ids.length > 0) yield ids;
      }
    },

    async *runnable(idleMs) {
      const now = toMicros(await redis.time());
      const ranges = [
        ["-inf", now - idleMs * 1000],
        [now + AHEAD_US, "+inf"],
      ] as const;
      for (const [from, to] of ranges) {
        for (let offset = 0, full = true; full; offset += PAGE) {
          const page = await redis.zrangebyscore(keys.runnable, from, to, "LIMIT", offset, PAGE);
          if (page.length > 0) yield page;
          full = page.length === PAGE;
        }
      }
    },
  };
}

/** By Redis's clock, as far as this process knows it since it was begun. */
const settledAt = (begun: Begin): string =>
  String(begun.begunAt + Math.round((performance.now() - begun.begunHere) * 1000));

const rowOf = (reply: ScriptReply): ScriptReply[] => (Array.isArray(reply) ? reply : []);

function rows(reply: ScriptReply): ScriptReply[][] {
  return Array.isArray(reply) ? reply.filter((row) => Array.isArray(row)) : [];
}
