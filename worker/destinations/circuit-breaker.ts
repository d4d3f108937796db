import { backoffMs } from "../../shared/util/backoff.ts";
import type { DestinationState } from "../../shared/destinations/store.ts";

/** After how many failures in a row, each of other units or incidents or all without an answer, a destination is paused. */
const FAILURE_LIMIT = 3;
/** How long it may ask to be left alone, ms; one that says "now" would be asked again without end. */
const MIN_ASKED_MS = 1000;
const MAX_ASKED_MS = 3_600_000;

/** What came of one request. `keys`: the units and incidents that it was about. */
export type Signal =
  | { what: "answered" }
  | { what: "failed"; keys: string; reason: string }
  /** Nothing came back that the message could be blamed for. */
  | { what: "unreachable"; reason: string }
  /** It asks for less, and says for how long. */
  | { what: "busy"; inMs: number; reason: string }
  | { what: "gone"; reason: string }
  | { what: "nothing" };

/** Leave to send one request. */
export interface Pass {
  /** Called once. */
  done(observed: Signal): void;
}

/** Where what is for one destination waits: for one of its places, and while it is paused or disabled. Waiting costs no attempt. */
export interface DestinationBreaker {
  /** Undefined if the worker stops first. */
  enter(): Promise<Pass | undefined>;
  state(): DestinationState;
  running(): number;
  /** True if it may be sent to now, as soon as there is a place. */
  isOpen(): boolean;
  /** Nothing enters before: with the state that an earlier worker left, if there is one. */
  begin(state: DestinationState | undefined): void;
  /** Somebody says that it is well. */
  enable(): void;
  /** Somebody says that nothing may be sent, until it is enabled. */
  disable(reason: string, since: number): void;
}

export interface DestinationGateOptions {
  /** How many requests go out at once. */
  places: number;
  /** How long the first pause lasts, and the longest, ms. */
  pauseFromMs(): number;
  pauseToMs: number;
  onChange(state: DestinationState): void;
  signal: AbortSignal;
  random: () => number;
}

const well = (): DestinationState => ({ state: "ok", reason: "", since: Date.now(), until: 0, trips: 0 });

/** The circuit breaker of one destination. Paused, it lets one request through at a time to see whether it answers again. */
export function createDestinationBreaker(options: DestinationGateOptions): DestinationBreaker {
  const { signal } = options;
  let state: DestinationState | undefined;
  let waiting: ((pass: Pass | undefined) => void)[] = [];
  let running = 0;
  let probing = false;
  /** The clock of the machine may jump: within a process the pause goes by the one that does not. */
  let pausedUntil = 0;
  let answers = 0;
  let unreachable = 0;
  const failing = new Set<string>();

  const isOpen = () =>
    state?.state === "ok" || (state?.state === "paused" && !probing && performance.now() >= pausedUntil);

  function letIn(): void {
    while (waiting.length > 0 && running < options.places && isOpen()) waiting.shift()?.(pass());
  }
  signal.addEventListener(
    "abort",
    () => {
      for (const resolve of waiting) resolve(undefined);
      waiting = [];
    },
    { once: true },
  );

  function become(next: DestinationState, tell = true): void {
    state = next;
    failing.clear();
    unreachable = 0;
    if (next.state === "paused") {
      const ms = Math.min(Math.max(next.until - Date.now(), 0), MAX_ASKED_MS);
      pausedUntil = performance.now() + ms;
      setTimeout(letIn, ms + 1).unref();
    }
    if (tell) options.onChange(next);
    letIn();
  }

  function pause(reason: string, ms: number, trips: number): void {
    const since = state?.state === "paused" ? state.since : Date.now();
    become({ state: "paused", reason, since, until: Date.now() + Math.ceil(ms), trips });
  }
  function trip(reason: string): void {
    const trips = (state?.trips ?? 0) + 1;
    pause(reason, backoffMs(trips, options.pauseFromMs(), options.pauseToMs, options.random), trips);
  }

  function pass(): Pass {
    const probe = state?.state === "paused";
    const answersBefore = answers;
    if (probe) probing = true;
    running += 1;
    return {
      done(observed) {
        running -= 1;
        if (probe) probing = false;
        classify(observed, probe, answersBefore);
        letIn();
      },
    };
  }

  /** What was sent before a pause and comes back during it changes nothing: the probes decide. */
  function classify(observed: Signal, probe: boolean, answersBefore: number): void {
    if (observed.what === "gone" && state?.state !== "disabled")
      become({ state: "disabled", reason: observed.reason, since: Date.now(), until: 0, trips: 0 });
    if (state?.state === "disabled" || (state?.state === "paused" && !probe)) return;
    if (observed.what === "busy")
      pause(observed.reason, Math.min(Math.max(observed.inMs, MIN_ASKED_MS), MAX_ASKED_MS), state?.trips ?? 0);
    if (observed.what === "answered") {
      answers += 1;
      failing.clear();
      unreachable = 0;
      if (probe) become(well());
    }
    if (observed.what !== "failed" && observed.what !== "unreachable") return;
    if (probe) return trip(observed.reason);
    // A failure says nothing of the destination if others were answered since it was sent.
    if (answers !== answersBefore) return;
    if (observed.what === "unreachable") unreachable += 1;
    else failing.add(observed.keys);
    if (failing.size + unreachable >= FAILURE_LIMIT) trip(observed.reason);
  }

  return {
    enter: () =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve(undefined);
        waiting.push(resolve);
        letIn();
      }),
    state: () => state ?? well(),
    running: () => running,
    isOpen,
    begin: (saved) => become(saved ?? well(), false),
    disable: (reason, since) => become({ state: "disabled", reason, since, until: 0, trips: 0 }),
    enable() {
      if (state && state.state !== "ok") become(well());
    },
  };
}
