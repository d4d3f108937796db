import { backoffMs } from "../shared/backoff.ts";

/** After how many missing confirmations in a row, each for other units or incidents, the CAD counts as not ready. */
const MISSING_LIMIT = 3;
/** After what time one command is let through to see whether it confirms again: from, to, ms. */
const PROBE_FROM_MS = 1000;
const PROBE_TO_MS = 10_000;

/** What came of a command that went through: did the CAD say that it handled it? */
export type Heard = "answered" | "unconfirmed" | "nothing";

/** Leave to send one command. `done` must be called once; `keys`: the units and incidents that it is about. */
export interface Pass {
  done(heard: Heard, keys?: string): void;
}

/** Where commands wait while the CAD cannot take them. Waiting costs no attempt. */
export interface Gate {
  /** Resolves when a command may be sent; undefined if the worker stops first. */
  enter(): Promise<Pass | undefined>;
  /** Why it is shut, in words for people; undefined when it is open. */
  shut(): string | undefined;
  /** Something that `notReady` depends on has changed. */
  changed(): void;
}

export interface GateOptions {
  /** What the connection waits for; undefined if it can take commands. */
  notReady(): string | undefined;
  /** Aborted when the worker stops: then nothing may pass any more. */
  signal: AbortSignal;
  random: () => number;
}

/**
 * A CAD whose database is down takes commands and stores none. Rather than burn the whole backlog, the gate shuts
 * after a few commands in a row without confirmation, and then lets single ones through. One unit with an id that
 * the CAD does not know never shuts it: only different keys count.
 */
export function createGate({ notReady, signal, random }: GateOptions): Gate {
  const missing = new Set<string>();
  /** How many commands were answered so far. */
  let answers = 0;
  let trips = 0;
  let probeAt = 0;
  let probing = false;
  let wake = Promise.withResolvers<void>();

  function changed(): void {
    wake.resolve();
    wake = Promise.withResolvers();
  }
  signal.addEventListener("abort", changed, { once: true });

  function shutAgain(): void {
    trips += 1;
    const wait = backoffMs(trips, PROBE_FROM_MS, PROBE_TO_MS, random);
    probeAt = performance.now() + wait;
    setTimeout(changed, wait + 1).unref();
  }

  function tryEnter(): Pass | undefined {
    if (notReady() !== undefined) return undefined;
    const before = answers;
    const done: Pass["done"] = (heard, keys = "") => judge(heard, keys, before);
    if (trips === 0) return { done };
    if (probing || performance.now() < probeAt) return undefined;
    probing = true;
    return {
      done(heard, keys) {
        probing = false;
        done(heard, keys);
        changed();
      },
    };
  }

  /** A command that was not confirmed says nothing of the CAD if others were answered since it was sent. */
  function judge(heard: Heard, keys: string, answersBefore: number): void {
    if (heard === "answered") {
      answers += 1;
      missing.clear();
      if (trips > 0) changed();
      trips = 0;
    } else if (heard === "unconfirmed" && answers === answersBefore) {
      missing.add(keys);
      if (trips > 0 || missing.size >= MISSING_LIMIT) shutAgain();
    }
  }

  return {
    async enter() {
      while (!signal.aborted) {
        const pass = tryEnter();
        if (pass) return pass;
        await wake.promise;
      }
      return undefined;
    },
    shut: () => notReady() ?? (trips > 0 ? "the CAD takes commands but confirms none" : undefined),
    changed,
  };
}
