import { adminSteps, clientSteps } from "./client-steps.ts";
import type { Model, Step } from "./explore.ts";
import type { Mutant } from "./mutants.ts";
import { createOutbox, fault, type Scenario, step } from "./outbox.ts";
import { broken } from "./outbox-rules.ts";
import { type Faults, initialState, isFinal, type State } from "./state.ts";
import { workerSteps } from "./worker-steps.ts";

/**
 * The protocol of the ordered outbox, as steps that may be taken in any order. A client appends; the functions add an emit job if
 * the worker sleeps; a worker acquires the lease, exchanges what it has to settle for what is ready, emits it, hears what the CAD
 * answers, and falls asleep. A sweep picks up what nobody works on. An admin redrives or discards a dead letter that holds its
 * place. Faults strike between any two steps, as often as the scenario allows.
 *
 * Left out: payloads, time to live, the number of BullMQ's own states (a job is there or not), and the window in which a process
 * freezes between its last check and the write to its socket, which only a CAD that recognises ids can close.
 */

/** The two workers are alike: states that differ only in which is which are one. */
function keyOf({ workers, ...rest }: State): string {
  const each = workers.map(({ life, epoch, tasks }) => `${life}/${epoch}/${tasks.join(".")}`).toSorted();
  const { queues, records, faults, ...others } = rest;
  return `${each.join("|")}|${queues.A.join()}|${queues.B.join()}|${records.join(".")}|${Object.values(faults).join()}|${Object.values(others).join("|")}`;
}

const NO_FAULTS: Faults = {
  crash: 0,
  freeze: 0,
  lostReply: 0,
  lostWakeUp: 0,
  staleJob: 0,
  lostWrite: 0,
  lapse: 0,
  database: 0,
  disconnect: 0,
  migration: 0,
};

function* worldSteps(s: State): Iterable<Step<State>> {
  const nobodyHolds = s.workers.every((worker) => worker.epoch !== s.epoch);
  if (s.lease === "held" && nobodyHolds) yield step(s, "the lease lapses", (n) => void (n.lease = "free"));
  if (s.database === "down") yield step(s, "the CAD's database returns", (n) => void (n.database = "up"));
  else yield* fault(s, "database", "the CAD's database stops", (n) => void (n.database = "down"));
  if (s.slot === "migrating") yield step(s, "the slot has moved, with all its keys", (n) => void (n.slot = "here"));
  else yield* fault(s, "migration", "the slot begins to move", (n) => void (n.slot = "migrating"));
}

export function protocolOf({ commands, faults }: Scenario, mutant?: Mutant): Model<State> {
  const outbox = createOutbox(commands, mutant);
  /** Faults after which only the sweep finds a command. */
  const loses = (["lostWakeUp", "lostReply", "lostWrite", "migration"] as const).some((kind) => faults[kind]);
  return {
    initial: initialState(commands, { ...NO_FAULTS, ...faults }),
    *steps(s) {
      yield* clientSteps(outbox, s);
      yield* adminSteps(outbox, s);
      for (const w of [0, 1]) yield* workerSteps(outbox, s, w);
      yield* worldSteps(s);
    },
    keyOf,
    isGoal: (s) => outbox.ids.every((id) => !s.accepted[id] || isFinal(s.records[id] ?? "absent")),
    check: (s) => broken(outbox, s, loses),
  };
}
