import { backoffMs } from "../../shared/util/backoff.ts";

/** After how many commands in a row that the CAD did not answer, all for other units and incidents, it is not ready. */
const MISSING_LIMIT = 3;
/** The same for suspects over each of which the connection broke while it was the only one: none is given up then. */
const SUSPECT_LIMIT = 10;
/** After what time commands are let through to see whether it answers again: from, to, ms; and how many at once. */
const PROBE_FROM_MS = 1000;
const PROBE_TO_MS = 10_000;
const PROBES = 3;
/** How long it is told as shut after the last command without an answer, if nobody waits: the next one is let in. */
const TOLD_MS = 3000;
/** How many units and incidents without an answer are remembered, to try others first. */
const MAX_REMEMBERED = 10_000;

/** Why it shuts, in words for whoever is on call. */
const WHY = {
  unconfirmed: "the CAD takes commands but confirms none",
  poison: "the CAD breaks the connection over whatever it is sent",
} as const;

/**
 * What came of a command that went through. `answered`: the CAD said that it handled it. `received`: its process has it, and
 * lives. `poison`: it was given up as what breaks the connection. `suspect`: the connection ended over it, the only suspect
 * on its way. `disconnected`: it ended over this one and others; they are sent again.
 */
export type Signal = "answered" | "received" | "unconfirmed" | "poison" | "suspect" | "disconnected" | "nothing";

/** Leave to send one command. `done` must be called once; `keys`: the units and incidents that it is about. */
export interface Pass {
  /** It is sent to see whether the CAD answers: if the connection breaks, that says nothing of this command. */
  readonly probe: boolean;
  done(heard: Signal, keys?: readonly string[]): void;
}

/** Where commands wait while the CAD cannot take them. Waiting costs no attempt. */
export interface CircuitBreaker {
  /** Resolves when a command may be sent; undefined if the worker stops first. */
  enter(id: string): Promise<Pass | undefined>;
  /** Why commands wait, or just had to, in words for people; undefined if they do not. */
  shut(): string | undefined;
  /** Why it is open although the connection is ready; undefined if it is not. */
  cause(): keyof typeof WHY | undefined;
  /** Something that `notReady` or `connection` depends on has changed. */
  changed(): void;
}

export interface CircuitBreakerOptions {
  /** What the connection waits for; undefined if it can take commands. */
  notReady(): string | undefined;
  /** Which connection this is: what was not confirmed on one says nothing of the next. */
  connection(): number;
  /** The units and incidents that a command is about. */
  keysOf(id: string): Promise<readonly string[]>;
  /** Aborted when the worker stops: then nothing may pass any more. */
  signal: AbortSignal;
  random: () => number;
}

interface Waiter {
  /** Undefined until they are known. */
  keys: readonly string[] | undefined;
  resolve(pass: Pass | undefined): void;
}

/**
 * A CAD whose database is down takes commands and stores none; one that is broken closes the connection over each. Rather
 * than burn the whole backlog, the breaker shuts after a few commands in a row without an answer, and then lets some through,
 * those first of whose units and incidents nothing bad is known. One unit with an id that the CAD does not know never
 * shuts it.
 */
export function createCircuitBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  const { notReady, connection, signal, random } = options;
  const waiting = new Set<Waiter>();
  /** The units and incidents of what was not answered since the last answer, and how many of those had none in common. */
  const silent = new Set<string>();
  let missing = 0;
  let suspects = 0;
  /** How many commands were answered so far. */
  let answers = 0;
  let trips = 0;
  let why: keyof typeof WHY = "unconfirmed";
  let trippedOn = 0;
  let probeAt = 0;
  let toldUntil = 0;
  const probing = { all: 0, silent: 0 };

  const isSilent = (keys: readonly string[]) => keys.some((key) => silent.has(key));

  function open(): void {
    silent.clear();
    missing = 0;
    suspects = 0;
    trips = 0;
    why = "unconfirmed";
  }

  function shutAgain(): void {
    trips += 1;
    const wait = backoffMs(trips, PROBE_FROM_MS, PROBE_TO_MS, random);
    probeAt = performance.now() + wait;
    setTimeout(admit, wait + 1).unref();
  }

  /** True if commands pass freely. Where it is the CAD that ends each connection, a new one proves nothing. */
  function isOpen(): boolean {
    if (trips > 0 && why === "unconfirmed" && connection() !== trippedOn) open();
    return trips === 0;
  }

  function admit(): void {
    if (signal.aborted) for (const waiter of waiting) letIn(waiter, undefined);
    if (notReady() !== undefined) return;
    if (isOpen()) for (const waiter of waiting) letIn(waiter, newPass());
    else if (performance.now() >= probeAt) admitProbes();
  }

  /** A place is kept free of those that got no answer before: else they alone would be tried, again and again. */
  function admitProbes(): void {
    for (const known of [false, true]) {
      for (const waiter of waiting) {
        if (probing.all >= PROBES || (known && probing.silent > 0)) return;
        if (waiter.keys && isSilent(waiter.keys) === known) letIn(waiter, newProbe(known));
      }
    }
  }

  function letIn(waiter: Waiter, pass: Pass | undefined): void {
    waiting.delete(waiter);
    waiter.resolve(pass);
  }

  function newPass(): Pass {
    const before = answers;
    return { probe: false, done: (heard, keys = []) => judge(heard, keys, before) };
  }

  function newProbe(known: boolean): Pass {
    const before = answers;
    probing.all += 1;
    if (known) probing.silent += 1;
    return {
      probe: true,
      done(heard, keys = []) {
        probing.all -= 1;
        if (known) probing.silent -= 1;
        judge(heard, keys, before);
        if (heard === "disconnected") missed(keys);
        admit();
      },
    };
  }

  /** A command that was not answered says nothing of the CAD if others were answered since it was sent. */
  function judge(heard: Signal, keys: readonly string[], answersBefore: number): void {
    if (heard === "answered" || (heard === "received" && why === "poison")) {
      answers += 1;
      open();
      admit();
    } else if ((heard === "unconfirmed" || heard === "poison") && answers === answersBefore) {
      why = heard;
      missed(keys);
    } else if (heard === "suspect" && answers === answersBefore) {
      suspects += 1;
      if (suspects < SUSPECT_LIMIT) return;
      why = "poison";
      missed(keys);
    }
  }

  function missed(keys: readonly string[]): void {
    if (!isSilent(keys)) missing += 1;
    if (silent.size > MAX_REMEMBERED) silent.clear();
    for (const key of keys) silent.add(key);
    trippedOn = connection();
    toldUntil = performance.now() + TOLD_MS;
    // What was sent before it shut is heard of afterwards, and is no further reason to wait longer.
    if (trips === 0 ? missing >= MISSING_LIMIT || suspects >= SUSPECT_LIMIT : performance.now() >= probeAt) shutAgain();
  }

  signal.addEventListener("abort", admit, { once: true });

  function cause(): keyof typeof WHY | undefined {
    if (isOpen()) return undefined;
    return probing.all > 0 || performance.now() < Math.max(probeAt, toldUntil) ? why : undefined;
  }

  return {
    enter(id) {
      if (signal.aborted) return Promise.resolve(undefined);
      if (notReady() === undefined && isOpen()) return Promise.resolve(newPass());
      return new Promise((resolve) => {
        const waiter: Waiter = { keys: undefined, resolve };
        waiting.add(waiter);
        const known = (keys: readonly string[]) => {
          waiter.keys = keys;
          admit();
        };
        options.keysOf(id).then(known, () => known([]));
      });
    },
    shut() {
      const reason = notReady();
      const because = cause();
      return reason ?? (because && WHY[because]);
    },
    cause,
    changed: admit,
  };
}
