import type { Step } from "./explore.ts";
import { fault, isOutcome, type Outbox, setTask, standBy, step } from "./outbox.ts";
import { isSettled, type State } from "./state.ts";
import { exchange, taskSteps } from "./task-steps.ts";

/** A worker's life, and what the one that holds the lease does: jobs, exchange, sweep, sleep. */

/** A new owner begins with all that is runnable. */
function takeRunnable(outbox: Outbox, n: State, w: number): void {
  const { ids } = outbox;
  for (const id of ids) if (n.runnable[id] && n.workers[w]?.tasks[id] === "idle") setTask(n, w, id, "due");
}

function* leaderSteps(outbox: Outbox, s: State, w: number): Iterable<Step<State>> {
  const { ids, is } = outbox;
  const who = `worker ${w + 1}`;
  const tasks = s.workers[w]?.tasks ?? [];
  for (const id of ids) {
    const task = tasks[id] ?? "idle";
    yield* findingSteps(outbox, s, w, id);
    yield* taskSteps(outbox, s, w, id, task);
  }
  yield* sleepSteps(outbox, s, w);
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

/** How the leader comes to a command that it does not have in hand. */
function* findingSteps(outbox: Outbox, s: State, w: number, id: number): Iterable<Step<State>> {
  const { nameOf, is } = outbox;
  const who = `worker ${w + 1}`;
  const tasks = s.workers[w]?.tasks ?? [];
  if (s.jobs[id])
    yield step(s, `${who}: takes the emit job of ${nameOf(id)}`, (n) => {
      // Of a worker that lost the lease it comes back.
      if (n.slot !== "here" || n.lease !== "held" || n.epoch !== n.workers[w]?.epoch) return;
      n.jobs[id] = false;
      // One of an older version's functions is in no other place.
      if (n.runnable[id] && tasks[id] === "idle") n.ready[id] = true;
      exchange(outbox, n, w);
    });
  if (s.runnable[id] && tasks[id] === "idle" && s.slot === "here" && !is("wake-up-only"))
    yield step(s, `${who}: the sweep finds ${nameOf(id)}`, (n) => setTask(n, w, id, "due"));
  if (tasks[id] === "idle" && isSettled(s.records[id] ?? "absent"))
    yield* fault(s, "staleJob", `BullMQ runs the stalled emit job of ${nameOf(id)} again`, (n) =>
      setTask(n, w, id, "due"),
    );
}

/** Falling asleep, with a last look at what is ready. */
function* sleepSteps(outbox: Outbox, s: State, w: number): Iterable<Step<State>> {
  const { commands, ids, scripts, nameOf, is } = outbox;
  const who = `worker ${w + 1}`;
  const tasks = s.workers[w]?.tasks ?? [];
  if (s.slot === "here" && s.awake === s.epoch) {
    if (s.ready.some(Boolean)) yield step(s, `${who}: looks, and takes what is ready`, (n) => exchange(outbox, n, w));
    if (tasks.every((task) => task === "idle"))
      yield step(s, `${who}: has nothing in flight, and falls asleep`, (n) => scripts.sleep(n));
  }
  if (is("runnable-in-second-step"))
    for (const id of ids) {
      const head = commands[id]?.keys.every((key) => s.queues[key][0] === id) && !isSettled(s.records[id] ?? "absent");
      if (head && !s.runnable[id] && tasks.some(isOutcome))
        yield step(s, `${who}: notes that ${nameOf(id)} is runnable`, (n) => void (n.runnable[id] = true));
    }
}

export function* workerSteps(outbox: Outbox, s: State, w: number): Iterable<Step<State>> {
  const { scripts, is } = outbox;
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
      if (!is("no-claim-after-freeze")) thawed.tasks = thawed.tasks.map((task) => (task === "claimed" ? "due" : task));
    });
    if (holds) yield step(s, `the lease of ${who} lapses`, (n) => void (n.lease = "free"));
    return;
  }
  if (worker.epoch === 0) {
    if (s.lease === "free" && s.slot === "here")
      yield step(s, `${who}: acquires the lease`, (n) => {
        (n.workers[w] as typeof worker).epoch = scripts.acquire(n);
        if (!is("wake-up-only")) takeRunnable(outbox, n, w);
      });
  } else yield* leaderSteps(outbox, s, w);
  yield* fault(s, "crash", `${who} is killed`, (n) => {
    standBy(n, w);
    (n.workers[w] as typeof worker).life = "dead";
  });
  yield* fault(s, "freeze", `${who} freezes`, (n) => void ((n.workers[w] as typeof worker).life = "frozen"));
}
