import { whyFailed } from "../../shared/redis/fault.ts";
import type { ToSend } from "../../shared/outbox/claim.ts";
import type { Exchanged, ExchangeAsk } from "../../shared/outbox/exchange.ts";
import type { StoredSettlement } from "../../shared/outbox/settle.ts";
import { NotOwner, type OwnedOutbox, type Settlement } from "../../shared/outbox/owned.ts";
import type { Log } from "../../shared/util/log.ts";

/**
 * The states of the exchange, which brings the commands to this worker:
 *
 * | state | what it does | leaves on |
 * | --- | --- | --- |
 * | asleep | nothing: an append adds an emit job | `wake`: a job, a push, a settlement, a sweep |
 * | awake | exchanges when there is something to settle or to take, and at the latest every LOOK_MS while commands are in flight | nothing in flight, and nothing ready, for LINGER_MS |
 *
 * Redis has the last word on which it is: falling asleep is part of an exchange. A worker that dies awake loses the lease, and
 * with it counts as asleep.
 */

/** How long the worker stays awake with nothing in flight, ms: at 50 commands/s and more it needs no emit jobs. */
const LINGER_MS = 25;
/** How often an awake worker looks for ready commands without a notification, ms. */
const LOOK_MS = 50;
/** From the begin of one exchange to that of the next, ms at least: each wakes this process and Redis, so it is to be worth it. */
const APART_MS = 1;
/** How many commands are settled, and how many are taken, in one exchange. */
const MOST_SETTLED = 256;
const MOST_TAKEN = 256;

export interface ExchangeOptions {
  outbox: Pick<OwnedOutbox, "exchange" | "toStored">;
  /** Aborted when nothing may be taken any more; what is in flight is still settled. */
  signal: AbortSignal;
  log: Log;
}

/** What works on the commands that an exchange takes. */
export interface Taker {
  /** How many commands may be taken now, and whether they may be begun in the same step. */
  room(): { take: number; begins: boolean };
  /** How many commands are in hand, those included that are being settled. */
  inHand(): number;
  /** @param asked when the exchange was asked for, by `performance.now()` */
  onTaken(taken: Exchanged["taken"][number], asked: number): void;
}
const NOBODY: Taker = { room: () => ({ take: 0, begins: false }), inHand: () => 0, onTaken: () => undefined };

/** Settles and takes commands, many in one step. One exchange runs at a time: what comes meanwhile goes with the next. */
export interface Exchange {
  /** Nothing is taken before. */
  start(taker: Taker): void;
  /** Resolves when Redis has it; what became runnable is passed to `onTaken`. Throws NotOwner. */
  settle(settlement: Settlement, begun?: ToSend): Promise<string[]>;
  /** Looks for what is ready. `offered`: the command that an emit job brought; then resolves when that was looked at. */
  wake(offered?: string): Promise<void>;
  /** Commands come without emit jobs: those of the queue are then no sign of life. */
  isAwake(): boolean;
}

interface Waiting<T> {
  item: T;
  resolve(): void;
  reject(error: unknown): void;
}

export function createExchange({ outbox, signal, log }: ExchangeOptions): Exchange {
  const settlements: Waiting<StoredSettlement>[] = [];
  const offers: Waiting<string>[] = [];
  let taker = NOBODY;
  let wanted = false;
  let busy = false;
  let awake = false;
  let began = -Infinity;
  /** When something was last in flight or on its way here. */
  let active = -Infinity;
  let failing = false;
  let watching: NodeJS.Timeout | undefined;

  function want(): void {
    wanted = true;
    if (busy) return;
    busy = true;
    const inMs = APART_MS - (performance.now() - began);
    if (inMs > 0) setTimeout(run, Math.ceil(inMs));
    else setImmediate(run);
  }

  function ask(settling: readonly Waiting<StoredSettlement>[], offering: readonly Waiting<string>[]): ExchangeAsk {
    const { take, begins } = signal.aborted ? { take: 0, begins: false } : taker.room();
    const settled = settling.length + settlements.length;
    const rests = taker.inHand() - settled <= 0 && offering.length === 0;
    if (!rests || settled > 0) active = performance.now();
    return {
      settle: settling.map(({ item }) => item),
      offered: signal.aborted ? [] : offering.map(({ item }) => item),
      take: Math.min(take, MOST_TAKEN),
      begins,
      maySleep: rests && performance.now() - active >= LINGER_MS,
    };
  }

  async function once(): Promise<void> {
    const settling = settlements.splice(0, MOST_SETTLED);
    const offering = offers.splice(0);
    const asked = ask(settling, offering);
    began = performance.now();
    try {
      const done = await outbox.exchange(asked);
      awake = done.awake;
      settling.forEach(({ resolve, reject }, i) =>
        done.settled[i] === "not-owner" ? reject(new NotOwner()) : resolve(),
      );
      if (done.taken.length > 0) active = performance.now();
      for (const taken of done.taken) taker.onTaken(taken, began);
      // As far as there is room: what is settled next asks again.
      if (settlements.length > 0 || (done.left > 0 && !signal.aborted && taker.room().take > 0)) wanted = true;
      if (!done.owner && asked.offered.length > 0) throw new NotOwner();
      for (const { resolve } of offering) resolve();
      failing = false;
    } catch (error) {
      if (!failing) log.warn({ reason: whyFailed(error) }, "commands could not be exchanged with Redis: retrying");
      failing = true;
      for (const { reject } of [...settling, ...offering]) reject(error);
    }
    watch();
  }

  function run(): void {
    wanted = false;
    void once().finally(() => {
      busy = false;
      if (wanted) want();
    });
  }

  /** While awake: looks now and then, and falls asleep when nothing was in flight for a while. */
  function watch(): void {
    // Nothing can be taken: a change of that calls `wake`.
    if (!awake || watching || signal.aborted || taker.room().take === 0) return;
    watching = setTimeout(() => {
      watching = undefined;
      const rests = taker.inHand() === 0;
      if (performance.now() - (rests ? active : began) >= (rests ? LINGER_MS : LOOK_MS)) want();
      else watch();
    }, LINGER_MS);
    watching.unref();
  }

  const together = <T>(list: Waiting<T>[], item: T): Promise<void> =>
    new Promise((resolve, reject) => {
      list.push({ item, resolve, reject });
      want();
    });

  return {
    start: (worker) => void (taker = worker),
    isAwake: () => awake,
    async settle(settlement, begun) {
      await together(settlements, outbox.toStored(settlement, begun));
      return [];
    },
    async wake(offered) {
      if (offered !== undefined) return together(offers, offered);
      want();
    },
  };
}
