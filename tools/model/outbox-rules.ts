import type { Outbox, Outcome } from "./outbox.ts";
import { isFinal, type State } from "./state.ts";

/** The invariants of docs/architecture.md, as what a step or a state of the model may not do. */

/** Invariant 2, of an emit that is about to reach the CAD. */
export function overtakes({ ids, nameOf, placeOf, sharesKey }: Outbox, n: State, id: number): string | undefined {
  const before = ids.find(
    (other) =>
      placeOf(other) < placeOf(id) &&
      sharesKey(id, other) &&
      n.accepted[other] &&
      !isFinal(n.records[other] ?? "absent"),
  );
  if (before !== undefined) return `invariant 2: ${nameOf(id)} overtakes ${nameOf(before)}`;
  const overtaken = ids.find(
    (other) => placeOf(other) > placeOf(id) && sharesKey(id, other) && n.delivered[other] === true,
  );
  if (overtaken !== undefined)
    return `invariant 2: ${nameOf(id)} reaches the CAD again after the newer ${nameOf(overtaken)}`;
  return undefined;
}

export const changed = ({ nameOf }: Outbox, id: number) => `invariant 3: the final state of ${nameOf(id)} changes`;

/** Invariant 11: what a receipt would claim beyond what is known. */
export function untrue(outbox: Outbox, s: State, id: number, outcome: Outcome): string | undefined {
  const { nameOf } = outbox;
  if (outcome === "confirmed" && !s.stored[id])
    return `invariant 11: ${nameOf(id)} is confirmed, and the CAD stored nothing`;
  if (outcome !== "rejected" && !s.delivered[id])
    return `invariant 11: ${nameOf(id)} is ${outcome}, and never reached the CAD`;
  return undefined;
}

/** A command is ready, and nobody is going to look before the sweep does. */
export function sleepsThrough(s: State, id: number): boolean {
  const leader = s.workers.find(({ life, epoch }) => life === "up" && epoch > 0 && epoch === s.epoch);
  if (!leader || s.lease !== "held" || s.awake === s.epoch || s.jobs.some(Boolean)) return false;
  return s.ready[id] === true && s.records[id] === "queued" && leader.tasks[id] === "idle";
}

/** What no state may be. `loses`: faults may strike after which only the sweep finds a command. */
export function broken({ commands, ids, nameOf }: Outbox, s: State, loses: boolean): string | undefined {
  for (const id of ids) {
    const state = s.records[id] ?? "absent";
    const places = (commands[id]?.keys ?? []).map((key) => s.queues[key].filter((each) => each === id).length);
    const waits = state === "queued" || state === "sent";
    if (s.accepted[id] && state === "absent") return `invariant 1: ${nameOf(id)} got a 202, and Redis does not have it`;
    if (places.some((count) => count !== (waits || state === "held" ? 1 : 0)))
      return `invariant 3: ${nameOf(id)} is ${state} and stands ${places.join(" and ")} times in its queues`;
    const isHead = waits && (commands[id]?.keys ?? []).every((key) => s.queues[key][0] === id);
    if (!loses && sleepsThrough(s, id))
      return `wake-up: ${nameOf(id)} is ready, the worker sleeps, and no emit job wakes it`;
    if (isHead !== s.runnable[id])
      return `invariant 4: ${nameOf(id)} is ${isHead ? "" : "not "}first in its queues, and runnable is ${s.runnable[id]}`;
  }
  return undefined;
}
