import { type AdmissionState, blockedBy } from "./admission-state.ts";
import type { Candidate } from "./circuit.ts";
import type { Pass } from "./pass.ts";

/** How many wait at most; one for each unit or incident, so that memory does not grow with the backlog. */
const MAX_WAITING = 20_000;

/**
 * A command that waits to be sent. What it is about is read from Redis only when a circuit is open.
 *
 * | state | condition | next |
 * | --- | --- | --- |
 * | any | the worker stops | ended, without a pass |
 * | any | it is a suspect, and another one is in flight alone | the same |
 * | unread | all circuits are closed | ended, with a pass |
 * | | a circuit is open | reading |
 * | reading | all circuits are closed | ended, with a pass |
 * | | it was read | read |
 * | | its record is gone | ended, with a pass: the claim finds that out |
 * | | it could not be read | unread, and read again after a while |
 * | read | its circuit is open | ended with a pass if it is chosen as a probe (probes.ts), else the same |
 * | | its circuit is closed | ended with a pass if its caller has a place free (places.ts), else the same |
 */
export type WaitingState = { is: "unread" } | { is: "reading" } | { is: "read"; command: Candidate };

export interface WaitingView {
  readonly state: AdmissionState;
  readonly isAllClosed: boolean;
  hasPlace(command: Candidate): boolean;
  /** True if it is a suspect that another suspect in flight keeps waiting. */
  isHeldAsSuspect(id: string): boolean;
}

/** Pure. What to do with a waiting command while the connection is ready and the worker runs. */
export function nextAction(
  { id, state }: Pick<WaitingCommand, "id" | "state">,
  view: WaitingView,
): "stay" | "read" | "admit" | "probe" {
  if (view.isHeldAsSuspect(id)) return "stay";
  if (state.is === "read") {
    if (blockedBy(view.state, state.command)) return "probe";
    return view.hasPlace(state.command) ? "admit" : "stay";
  }
  if (view.isAllClosed) return "admit";
  return state.is === "unread" ? "read" : "stay";
}

export interface WaitingCommand {
  readonly id: string;
  state: WaitingState;
  /** Resolved when it is worth asking again. */
  readonly ended: Promise<void>;
  end(): void;
}

/** Those that wait, and the passes of those that waited, until they ask again. */
export class WaitingCommands {
  readonly #waiting = new Map<string, WaitingCommand>();
  readonly #granted = new Map<string, Pass>();

  get size(): number {
    return this.#waiting.size;
  }

  get isFull(): boolean {
    return this.#waiting.size >= MAX_WAITING;
  }

  get(id: string): WaitingCommand | undefined {
    return this.#waiting.get(id);
  }

  all(): Iterable<WaitingCommand> {
    return this.#waiting.values();
  }

  add(id: string, state: WaitingState): WaitingCommand {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: WaitingCommand = { id, state, ended: promise, end: resolve };
    this.#waiting.set(id, waiter);
    return waiter;
  }

  end(waiter: WaitingCommand, pass?: Pass): void {
    this.#waiting.delete(waiter.id);
    if (pass) this.#granted.set(waiter.id, pass);
    waiter.end();
  }

  takePass(id: string): Pass | undefined {
    const pass = this.#granted.get(id);
    this.#granted.delete(id);
    return pass;
  }
}
