import { type CommandModel, isSettled, type RecordState, type State } from "./state.ts";
import type { Mutant } from "./mutants.ts";

/** The scripts, each of which Redis runs as one step. They change the state that they are given. */
export interface Scripts {
  append(s: State, id: number): "accepted" | "failed";
  /** Whether an append that makes something runnable has to add an emit job. */
  isDue(s: State): boolean;
  /** Takes all that is ready: begun, or by its id (what may be on its way; all, where the circuit breaker judges each). The worker is awake from then on. */
  exchange(s: State, worker: number, begins?: boolean): { id: number; begun: boolean }[];
  /** The worker sleeps, if nothing is ready. */
  sleep(s: State): void;
  /** True if the worker may emit it now. */
  claim(s: State, worker: number, id: number): boolean;
  /** True if it was taken, or was settled before; false if this worker may not settle any more. */
  settle(s: State, worker: number, id: number, to: RecordState): boolean;
  /** Sends a held dead letter again in its place; false if it is not held any more. */
  redrive(s: State, id: number): boolean;
  /** Takes a held dead letter off its queues. */
  discard(s: State, id: number): void;
  /** The next owner's epoch. */
  acquire(s: State): number;
}

export function createScripts(commands: readonly CommandModel[], mutant: Mutant | undefined): Scripts {
  const is = (m: Mutant) => mutant === m;
  const keysOf = (id: number) => commands[id]?.keys ?? [];
  const isHead = (s: State, id: number) => keysOf(id).every((key) => s.queues[key][0] === id);

  function markRunnable(s: State, id: number): void {
    if (!isHead(s, id) || isSettled(s.records[id] ?? "absent")) return;
    s.runnable[id] = true;
    if (s.records[id] === "queued") s.ready[id] = true;
  }

  /** Of all its queues the last; undefined where they differ. */
  function tailOf(s: State, id: number): number | undefined {
    const tails = keysOf(id).map((key) => s.queues[key].at(-1));
    return is("latest-wins-over-other-key") || tails.every((tail) => tail === tails[0]) ? tails[0] : undefined;
  }

  /** Puts a newer value in the place of the one that waits right before it. */
  function supersedes(s: State, id: number): boolean {
    const tail = commands[id]?.latestWins ? tailOf(s, id) : undefined;
    if (tail === undefined || !commands[tail]?.latestWins) return false;
    const waits = s.records[tail] === "queued" && !s.runnable[tail];
    if (!waits && !is("latest-wins-over-sent")) return false;
    if (!is("latest-wins-over-other-key") && keysOf(tail).join() !== keysOf(id).join()) return false;
    for (const key of keysOf(id)) {
      const at = s.queues[key].lastIndexOf(tail);
      if (at >= 0) s.queues[key][at] = id;
      else s.queues[key].push(id);
    }
    s.records[tail] = "superseded";
    s.runnable[tail] = false;
    s.ready[tail] = false;
    return true;
  }

  /** Takes it off its queues; what is first then is runnable. */
  function leave(s: State, id: number, marks: boolean): void {
    for (const key of keysOf(id)) {
      s.queues[key] = s.queues[key].filter((each) => each !== id);
      const head = s.queues[key][0];
      if (head !== undefined && marks) markRunnable(s, head);
    }
  }

  return {
    append(s, id) {
      if (s.slot === "migrating") {
        // The node that the slot moves to has none of the keys: the sentinel is missing, and the script fails.
        if (!is("slot-without-sentinel")) return "failed";
        s.accepted[id] = true;
        return "accepted";
      }
      if (s.records[id] !== "absent" && !is("append-twice")) return "accepted";
      s.accepted[id] = true;
      if (s.records[id] === "absent") s.records[id] = "queued";
      if (!supersedes(s, id)) for (const key of keysOf(id)) s.queues[key].push(id);
      markRunnable(s, id);
      return "accepted";
    },

    isDue: (s) => s.awake === 0 || (!is("awake-without-lease") && (s.lease !== "held" || s.awake !== s.epoch)),

    exchange(s, worker, begins = true) {
      const epoch = s.workers[worker]?.epoch ?? 0;
      if (s.lease !== "held" || s.epoch !== epoch) return [];
      s.awake = epoch;
      return s.ready.flatMap((isReady, id) => {
        if (!isReady) return [];
        s.ready[id] = false;
        if (!s.runnable[id]) return [];
        return [{ id, begun: begins && s.records[id] === "queued" && this.claim(s, worker, id) }];
      });
    },

    sleep(s) {
      if (!s.ready.some(Boolean) || is("sleep-without-look")) s.awake = 0;
    },

    claim(s, worker, id) {
      const epoch = s.workers[worker]?.epoch;
      const owns = s.lease === "held" && s.epoch === epoch;
      if (!owns && !is("claim-without-lease")) return false;
      // What is final is in no queue any more.
      if (isSettled(s.records[id] ?? "absent")) return is("claim-of-final");
      if (!isHead(s, id) && !is("claim-without-head")) return false;
      s.records[id] = "sent";
      if (is("settle-before-emit")) this.settle(s, worker, id, "confirmed");
      return true;
    },

    settle(s, worker, id, to) {
      if (s.epoch !== s.workers[worker]?.epoch && !is("settle-by-old-owner")) return false;
      const first = !isSettled(s.records[id] ?? "absent");
      const holds = commands[id]?.holds && to === "rejected";
      if (first) s.records[id] = holds ? "held" : to;
      s.runnable[id] = false;
      s.ready[id] = false;
      // What no longer makes a difference is forgotten: fewer states to visit.
      s.jobs[id] = false;
      s.sends[id] = 0;
      if (s.records[id] === "held" && !is("hold-without-place")) return true;
      if (is("head-removed-twice")) for (const key of keysOf(id)) s.queues[key].shift();
      leave(s, id, !is("runnable-in-second-step"));
      return true;
    },

    redrive(s, id) {
      const letter = commands[id]?.redriveOf ?? id;
      if (s.records[letter] !== "held") return false;
      s.records[letter] = "rejected";
      s.accepted[id] = true;
      s.records[id] = "queued";
      for (const key of keysOf(id)) {
        if (is("redrive-at-the-end")) s.queues[key] = [...s.queues[key].filter((each) => each !== letter), id];
        else s.queues[key] = s.queues[key].map((each) => (each === letter ? id : each));
        const head = s.queues[key][0];
        if (head !== undefined) markRunnable(s, head);
      }
      return true;
    },

    discard(s, id) {
      if (s.records[id] !== "held") return;
      s.records[id] = "rejected";
      leave(s, id, !is("discard-marks-nothing"));
    },

    acquire(s) {
      s.lease = "held";
      if (!is("epoch-not-raised") || s.epoch === 0) s.epoch += 1;
      return s.epoch;
    },
  };
}
