import type { Handled } from "../../shared/journal/checkpoints.ts";
import type { Log } from "../../shared/util/log.ts";
import { kindOf } from "../../shared/util/reason.ts";
import { redisFault } from "../../shared/redis/fault.ts";
import { SealError } from "../../shared/sealing/seal.ts";
import { sleep } from "../../shared/util/sleep.ts";
import { type Declined, HandlerError, type Task } from "./handlers/handler.ts";

/** How often a handler is given an entry that it fails at. */
const MAX_TRIES = 6;
/** How long what a handler has begun may take when it is to stop, ms. */
const STOP_MS = 500;

export interface AttemptsOptions {
  /** The handler's name. */
  handler: string;
  /** How long it may take for one entry, ms; beyond, it has failed at it. */
  handleMs: number;
  /** How long to wait before that try, ms. */
  waitMs(tries: number): number;
  /** Something failed, or is waited for; safe to show. */
  onTrouble(reason: string): void;
  signal: AbortSignal;
  log: Log;
}

/** The outcome of one entry. */
export type TaskOutcome = Omit<Handled, "handler">;

/** Does what a handler has to do with an entry until it is done, or has failed for good; undefined if the signal aborts first. */
export type Attempt = (entry: string, task: Task) => Promise<TaskOutcome | undefined>;

export function createAttempts({ handler, handleMs, waitMs, onTrouble, signal, log }: AttemptsOptions): Attempt {
  let waitsFor: string | undefined;
  /** Of the entries in hand: what is to be done at a stop. A listener for each would be searched for at every next one. */
  const hurries = new Set<() => void>();
  signal.addEventListener(
    "abort",
    () => {
      for (const hurry of hurries) hurry();
    },
    { once: true },
  );

  /** Whatever the handler does, this ends in time, and throws what the handler throws. */
  async function perform(task: Task): Promise<Declined | void> {
    const performing = (async () => task())();
    const late = Promise.withResolvers<never>();
    const limit = (ms: number) =>
      setTimeout(() => late.reject(new HandlerError(`it took longer than ${handleMs} ms`)), ms);
    let timer = limit(handleMs);
    const hurry = () => {
      clearTimeout(timer);
      timer = limit(STOP_MS);
    };
    hurries.add(hurry);
    try {
      return await Promise.race([performing, late.promise]);
    } finally {
      clearTimeout(timer);
      hurries.delete(hurry);
    }
  }

  /** Reported once: all entries in progress wait for the same, possibly for long. */
  function waitFor(entry: string, reason: string): void {
    if (waitsFor !== reason) log.warn({ handler, entry, reason }, "a handler waits");
    waitsFor = reason;
  }

  function ended(outcome: TaskOutcome): TaskOutcome {
    waitsFor = undefined;
    return outcome;
  }

  return async function attempt(entry, task) {
    for (let tries = 1, waited = 0; !signal.aborted;) {
      const started = performance.now();
      let declined: Declined | void = undefined;
      const error = await perform(task).then(
        (result) => void (declined = result),
        (e: unknown) => e ?? new Error("unknown"),
      );
      const took = { durationMs: Math.round((performance.now() - started) * 100) / 100, tries };
      if (error === undefined) return ended({ ...took, ...outcomeOf(declined) });
      if (signal.aborted) return undefined;
      const reason = reasonOf(error);
      onTrouble(reason);
      // Redis being away, or a missing key, is no fault of the entry: it waits.
      if (redisFault(error) !== undefined || error instanceof SealError) {
        waited += 1;
        waitFor(entry, reason);
        await sleep(waitMs(waited), signal);
        continue;
      }
      if (tries >= MAX_TRIES) return ended({ ...took, outcome: "failed", error: reason });
      log.warn({ handler, entry, tries, reason }, "a handler failed: retrying");
      tries += 1;
      await sleep(waitMs(tries), signal);
    }
    return undefined;
  };
}

export const outcomeOf = (result: Declined | void): Pick<TaskOutcome, "outcome" | "reason"> =>
  result ? { outcome: "declined", reason: result.declined } : { outcome: "done" };

/** Safe to show: the message of our own errors, only the kind of any other. */
export const reasonOf = (error: unknown): string =>
  error instanceof HandlerError || error instanceof SealError ? error.message : (redisFault(error) ?? kindOf(error));
