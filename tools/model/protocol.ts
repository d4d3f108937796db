import type { Model, Step } from "./explore.ts";
import type { Mutant } from "./mutants.ts";
import { createScripts } from "./redis.ts";
import {
  cloneOf,
  type CommandModel,
  type Faults,
  initialState,
  isFinal,
  isSettled,
  type State,
  type Task,
} from "./state.ts";

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

/** How often a command that sets a value is emitted before it is `unconfirmed`. */
const MAX_SENDS = 2;
/** The outcomes that a worker may settle with. */
const OUTCOMES = ["confirmed", "relayed", "received", "unconfirmed", "rejected"] as const satisfies Task[];
type Outcome = (typeof OUTCOMES)[number];
const isOutcome = (task: Task): task is Outcome => (OUTCOMES as readonly Task[]).includes(task);

export interface Scenario {
  name: string;
  commands: readonly CommandModel[];
  faults: Partial<Faults>;
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

/** A step that changes a copy of the state. */
const step = (s: State, label: string, change: (next: State) => string | undefined | void): Step<State> => {
  const next = cloneOf(s);
  const broken = change(next) ?? undefined;
  return { label, fault: false, state: next, ...(broken !== undefined && { broken }) };
};

/** Counts a fault; undefined if it may not strike any more. */
function struck(s: State, fault: keyof Faults): State | undefined {
  if (s.faults[fault] === 0) return undefined;
  const next = cloneOf(s);
  next.faults[fault] -= 1;
  return next;
}

const setTask = (n: State, worker: number, id: number, task: Task): void => {
  const tasks = n.workers[worker]?.tasks;
  if (tasks) tasks[id] = task;
};

/** It gives the lease up for lost, and all that it had in hand; Redis still has it for a moment. */
function standBy(n: State, w: number): void {
  const worker = n.workers[w];
  if (!worker) return;
  worker.epoch = 0;
  worker.tasks = worker.tasks.map(() => "idle");
}

const fault = (s: State, kind: keyof Faults, label: string, change: (next: State) => string | undefined | void) => {
  const next = struck(s, kind);
  if (!next) return [];
  const broken = change(next) ?? undefined;
  return [{ label: `FAULT: ${label}`, fault: true, state: next, ...(broken !== undefined && { broken }) }];
};

function* worldSteps(s: State): Iterable<Step<State>> {
  const nobodyHolds = s.workers.every((worker) => worker.epoch !== s.epoch);
  if (s.lease === "held" && nobodyHolds) yield step(s, "the lease lapses", (n) => void (n.lease = "free"));
  if (s.database === "down") yield step(s, "the CAD's database returns", (n) => void (n.database = "up"));
  else yield* fault(s, "database", "the CAD's database stops", (n) => void (n.database = "down"));
  if (s.slot === "migrating") yield step(s, "the slot has moved, with all its keys", (n) => void (n.slot = "here"));
  else yield* fault(s, "migration", "the slot begins to move", (n) => void (n.slot = "migrating"));
}

/** A command is ready, and nobody is going to look before the sweep does. */
function sleepsThrough(s: State, id: number): boolean {
  const leader = s.workers.find(({ life, epoch }) => life === "up" && epoch > 0 && epoch === s.epoch);
  if (!leader || s.lease !== "held" || s.awake === s.epoch || s.jobs.some(Boolean)) return false;
  return s.ready[id] === true && s.records[id] === "queued" && leader.tasks[id] === "idle";
}

export function protocolOf({ commands, faults }: Scenario, mutant?: Mutant): Model<State> {
  const scripts = createScripts(commands, mutant);
  const is = (m: Mutant) => mutant === m;
  const ids = commands.map((_, id) => id);
  const sharesKey = (a: number, b: number) => commands[a]?.keys.some((key) => commands[b]?.keys.includes(key)) ?? false;
  /** Where it comes in the order of acceptance: a redrive has the place of its dead letter. */
  const placeOf = (id: number) => commands[id]?.redriveOf ?? id;
  const appends = commands.filter(({ redriveOf }) => redriveOf === undefined).length;
  const nameOf = (id: number) => `#${id + 1} (${commands[id]?.keys.join("+")})`;

  function* clientSteps(s: State): Iterable<Step<State>> {
    const id = s.appended;
    if (id < appends) {
      yield step(s, `client: appends ${nameOf(id)}, 202`, (n) => {
        if (scripts.append(n, id) === "accepted") n.appended += 1;
        n.jobs[id] = n.runnable[id] === true && scripts.isDue(n);
      });
      yield* fault(s, "lostWakeUp", `${nameOf(id)} is appended, and its emit job is never added`, (n) => {
        if (scripts.append(n, id) === "accepted") n.appended += 1;
      });
      yield* fault(s, "lostReply", `the reply to the append of ${nameOf(id)} is lost, the client repeats it`, (n) => {
        scripts.append(n, id);
        if (scripts.append(n, id) === "accepted") n.appended += 1;
      });
    }
  }

  /** What becomes runnable by it has its emit job, if the worker sleeps. */
  function addJobs(n: State, before: State): void {
    for (const id of ids) if (n.runnable[id] && !before.runnable[id]) n.jobs[id] = scripts.isDue(n);
  }

  function* adminSteps(s: State): Iterable<Step<State>> {
    if (s.slot !== "here") return;
    for (const id of ids) {
      const letter = commands[id]?.redriveOf;
      if (letter !== undefined && s.records[letter] === "held") {
        const label = `admin: redrives ${nameOf(letter)} in its place, as #${id + 1}`;
        yield step(s, label, (n) => {
          scripts.redrive(n, id);
          addJobs(n, s);
        });
        yield* fault(s, "lostWakeUp", `${label}, and its emit job is never added`, (n) => void scripts.redrive(n, id));
        yield* fault(s, "lostReply", `${label}, and again, since the reply is lost`, (n) => {
          scripts.redrive(n, id);
          addJobs(n, s);
          scripts.redrive(n, id);
        });
      }
      if (s.records[id] === "held")
        yield step(s, `admin: discards ${nameOf(id)}`, (n) => {
          scripts.discard(n, id);
          addJobs(n, s);
        });
    }
  }

  /** What the CAD does with an emit, and what the worker receives in answer. */
  function emit(n: State, worker: number, id: number, answer: Outcome | "silence"): string | undefined {
    const command = commands[id];
    if (!command) return undefined;
    n.sends[id] = Math.min(MAX_SENDS, (n.sends[id] ?? 0) + 1);
    const overtaken = ids.find(
      (other) => placeOf(other) > placeOf(id) && sharesKey(id, other) && n.delivered[other] === true,
    );
    const before = ids.find(
      (other) =>
        placeOf(other) < placeOf(id) &&
        sharesKey(id, other) &&
        n.accepted[other] &&
        !isFinal(n.records[other] ?? "absent"),
    );
    const other = n.workers[1 - worker];
    const owned = n.lease === "held" && other?.epoch === n.epoch && n.workers[worker]?.epoch !== n.epoch;
    n.delivered[id] = true;
    if (n.database === "up" && answer !== "rejected" && command.answer === "write") n.stored[id] = true;
    setTask(n, worker, id, answer === "silence" ? "waiting" : answer);
    if (before !== undefined) return `invariant 2: ${nameOf(id)} overtakes ${nameOf(before)}`;
    if (overtaken !== undefined)
      return `invariant 2: ${nameOf(id)} reaches the CAD again after the newer ${nameOf(overtaken)}`;
    if (owned) return `invariant 6: two workers send`;
    return undefined;
  }

  /** What may come of an emit now. */
  function answersTo(s: State, id: number): (Outcome | "silence")[] {
    const command = commands[id];
    if (command?.answer === "none") return ["received"];
    if (command?.answer === "relay") return [is("relay-as-write") ? "confirmed" : "relayed", "silence"];
    return s.database === "down" ? ["silence"] : ["confirmed", "rejected", "silence"];
  }

  /** No answer came in time; a barrier shows that the CAD's process has it. */
  function onSilence(n: State, worker: number, id: number): void {
    const again = commands[id]?.sets && (n.sends[id] ?? 0) < MAX_SENDS;
    if (is("barrier-as-write")) setTask(n, worker, id, "confirmed");
    else if (again && is("resend-after-settle")) {
      scripts.settle(n, worker, id, "unconfirmed");
      setTask(n, worker, id, "claimed");
    } else setTask(n, worker, id, again ? "due" : "unconfirmed");
  }

  function* taskSteps(s: State, w: number, id: number, task: Task): Iterable<Step<State>> {
    const who = `worker ${w + 1}`;
    if (task === "due") {
      if (s.slot === "here")
        yield step(s, `${who}: claims ${nameOf(id)}`, (n) =>
          setTask(n, w, id, scripts.claim(n, w, id) ? "claimed" : "idle"),
        );
      yield* fault(
        s,
        "lostReply",
        `the reply to the claim of ${nameOf(id)} is lost`,
        (n) => void scripts.claim(n, w, id),
      );
      yield* fault(s, "lostWrite", `Redis restarts and has lost the claim of ${nameOf(id)}`, (n) => {
        const lost = cloneOf(n);
        if (scripts.claim(lost, w, id)) setTask(n, w, id, "claimed");
      });
    } else if (task === "claimed") {
      for (const answer of answersTo(s, id))
        yield step(s, `${who}: emits ${nameOf(id)}, hears ${answer}`, (n) => emit(n, w, id, answer));
    } else if (task === "waiting") {
      yield step(s, `${who}: no answer to ${nameOf(id)} in time, the barrier returns`, (n) => onSilence(n, w, id));
    } else if (isOutcome(task) && s.slot === "here") {
      yield step(s, `${who}: settles ${nameOf(id)} as ${task}`, (n) => {
        const wrong = untrue(n, id, task);
        const wasFinal = isFinal(n.records[id] ?? "absent") ? n.records[id] : undefined;
        // What is ready is taken first: what this settlement makes ready comes with the next exchange.
        if (!is("take-after-settle")) exchange(n, w);
        scripts.settle(n, w, id, task);
        setTask(n, w, id, "idle");
        if (is("take-after-settle")) exchange(n, w);
        return wrong ?? (wasFinal !== undefined && n.records[id] !== wasFinal ? changed(id) : undefined);
      });
      yield* fault(s, "lostReply", `the reply to the settlement of ${nameOf(id)} is lost, it is repeated`, (n) => {
        scripts.exchange(n, w);
        scripts.settle(n, w, id, task);
      });
      yield* fault(s, "lostWrite", `Redis restarts and has lost the settlement of ${nameOf(id)}`, (n) => {
        const lost = cloneOf(n);
        if (!is("take-after-settle")) exchange(lost, w);
        scripts.settle(lost, w, id, task);
        if (is("take-after-settle")) exchange(lost, w);
        // The worker believes the reply.
        n.workers = lost.workers;
        setTask(n, w, id, "idle");
      });
      yield* fault(
        s,
        "lostWrite",
        `Redis has lost the settlement of ${nameOf(id)}, and an exchange of ids after it`,
        (n) => {
          const lost = cloneOf(n);
          scripts.settle(lost, w, id, task);
          setTask(lost, w, id, "idle");
          exchange(lost, w, false);
          n.workers = lost.workers;
        },
      );
    }
  }

  const changed = (id: number) => `invariant 3: the final state of ${nameOf(id)} changes`;

  /** Invariant 11: what a receipt would claim beyond what is known. */
  function untrue(s: State, id: number, outcome: Outcome): string | undefined {
    if (outcome === "confirmed" && !s.stored[id])
      return `invariant 11: ${nameOf(id)} is confirmed, and the CAD stored nothing`;
    if (outcome !== "rejected" && !s.delivered[id])
      return `invariant 11: ${nameOf(id)} is ${outcome}, and never reached the CAD`;
    return undefined;
  }

  /** What an exchange brings: begun, or to be begun. What the worker has in hand already it does not take again. */
  function exchange(n: State, w: number, begins = true): void {
    for (const { id, begun } of scripts.exchange(n, w, begins))
      if (n.workers[w]?.tasks[id] === "idle") setTask(n, w, id, begun ? "claimed" : "due");
  }

  /** A new owner begins with all that is runnable. */
  function takeRunnable(n: State, w: number): void {
    for (const id of ids) if (n.runnable[id] && n.workers[w]?.tasks[id] === "idle") setTask(n, w, id, "due");
  }

  function* leaderSteps(s: State, w: number): Iterable<Step<State>> {
    const who = `worker ${w + 1}`;
    const tasks = s.workers[w]?.tasks ?? [];
    for (const id of ids) {
      if (s.jobs[id])
        yield step(s, `${who}: takes the emit job of ${nameOf(id)}`, (n) => {
          // Of a worker that lost the lease it comes back.
          if (n.slot !== "here" || n.lease !== "held" || n.epoch !== n.workers[w]?.epoch) return;
          n.jobs[id] = false;
          // One of an older version's functions is in no other place.
          if (n.runnable[id] && tasks[id] === "idle") n.ready[id] = true;
          exchange(n, w);
        });
      if (s.runnable[id] && tasks[id] === "idle" && s.slot === "here" && !is("wake-up-only"))
        yield step(s, `${who}: the sweep finds ${nameOf(id)}`, (n) => setTask(n, w, id, "due"));
      if (tasks[id] === "idle" && isSettled(s.records[id] ?? "absent"))
        yield* fault(s, "staleJob", `BullMQ runs the stalled emit job of ${nameOf(id)} again`, (n) =>
          setTask(n, w, id, "due"),
        );
      yield* taskSteps(s, w, id, tasks[id] ?? "idle");
    }
    if (s.slot === "here" && s.awake === s.epoch) {
      if (s.ready.some(Boolean)) yield step(s, `${who}: looks, and takes what is ready`, (n) => exchange(n, w));
      if (tasks.every((task) => task === "idle"))
        yield step(s, `${who}: has nothing in flight, and falls asleep`, (n) => scripts.sleep(n));
    }
    if (is("runnable-in-second-step"))
      for (const id of ids) {
        const head =
          commands[id]?.keys.every((key) => s.queues[key][0] === id) && !isSettled(s.records[id] ?? "absent");
        if (head && !s.runnable[id] && tasks.some(isOutcome))
          yield step(s, `${who}: notes that ${nameOf(id)} is runnable`, (n) => void (n.runnable[id] = true));
      }
    if (tasks.some((task) => task === "waiting" || task === "claimed"))
      yield* fault(s, "disconnect", `the connection of ${who} to the CAD breaks`, (n) => {
        tasks.forEach((task, id) => {
          if (task !== "waiting" && task !== "claimed") return;
          setTask(n, w, id, is("give-up-on-disconnect") ? "received" : "due");
        });
      });
    yield* fault(s, "lapse", `${who} cannot renew its lease; its own deadline passes first`, (n) => {
      if (is("lease-outlives-deadline")) n.lease = "free";
      else standBy(n, w);
    });
  }

  function* workerSteps(s: State, w: number): Iterable<Step<State>> {
    const worker = s.workers[w];
    const who = `worker ${w + 1}`;
    if (!worker) return;
    const holds = s.lease === "held" && worker.epoch === s.epoch && worker.epoch > 0;
    if (worker.life === "dead") {
      yield step(s, `${who}: starts again`, (n) => void ((n.workers[w] as typeof worker).life = "up"));
      return;
    }
    if (worker.life === "frozen") {
      yield step(s, `${who}: thaws`, (n) => {
        const thawed = n.workers[w] as typeof worker;
        thawed.life = "up";
        // More than a second has passed: what was claimed is claimed again.
        if (!is("no-claim-after-freeze"))
          thawed.tasks = thawed.tasks.map((task) => (task === "claimed" ? "due" : task));
      });
      if (holds) yield step(s, `the lease of ${who} lapses`, (n) => void (n.lease = "free"));
      return;
    }
    if (worker.epoch === 0) {
      if (s.lease === "free" && s.slot === "here")
        yield step(s, `${who}: acquires the lease`, (n) => {
          (n.workers[w] as typeof worker).epoch = scripts.acquire(n);
          if (!is("wake-up-only")) takeRunnable(n, w);
        });
    } else yield* leaderSteps(s, w);
    yield* fault(s, "crash", `${who} is killed`, (n) => {
      standBy(n, w);
      (n.workers[w] as typeof worker).life = "dead";
    });
    yield* fault(s, "freeze", `${who} freezes`, (n) => void ((n.workers[w] as typeof worker).life = "frozen"));
  }

  /** Faults after which only the sweep finds a command. */
  const loses = (["lostWakeUp", "lostReply", "lostWrite", "migration"] as const).some((kind) => faults[kind]);
  return {
    initial: initialState(commands, { ...NO_FAULTS, ...faults }),
    *steps(s) {
      yield* clientSteps(s);
      yield* adminSteps(s);
      for (const w of [0, 1]) yield* workerSteps(s, w);
      yield* worldSteps(s);
    },
    keyOf,
    isGoal: (s) => ids.every((id) => !s.accepted[id] || isFinal(s.records[id] ?? "absent")),
    check(s) {
      for (const id of ids) {
        const state = s.records[id] ?? "absent";
        const places = (commands[id]?.keys ?? []).map((key) => s.queues[key].filter((each) => each === id).length);
        const waits = state === "queued" || state === "sent";
        if (s.accepted[id] && state === "absent")
          return `invariant 1: ${nameOf(id)} got a 202, and Redis does not have it`;
        if (places.some((count) => count !== (waits || state === "held" ? 1 : 0)))
          return `invariant 3: ${nameOf(id)} is ${state} and stands ${places.join(" and ")} times in its queues`;
        const isHead = waits && (commands[id]?.keys ?? []).every((key) => s.queues[key][0] === id);
        if (!loses && sleepsThrough(s, id))
          return `wake-up: ${nameOf(id)} is ready, the worker sleeps, and no emit job wakes it`;
        if (isHead !== s.runnable[id])
          return `invariant 4: ${nameOf(id)} is ${isHead ? "" : "not "}first in its queues, and runnable is ${s.runnable[id]}`;
      }
      return undefined;
    },
  };
}
