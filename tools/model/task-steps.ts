import type { Step } from "./explore.ts";
import { fault, isOutcome, MAX_SENDS, type Outbox, type Outcome, setTask, step } from "./outbox.ts";
import { changed, overtakes, untrue } from "./outbox-rules.ts";
import { cloneOf, isFinal, type State, type Task } from "./state.ts";

/** What a worker does with a command that it has in hand: claim, emit, hear or wait, settle. */

/** What the CAD does with an emit, and what the worker receives in answer. */
function emit(outbox: Outbox, n: State, worker: number, id: number, answer: Outcome | "silence"): string | undefined {
  const { commands } = outbox;
  const command = commands[id];
  if (!command) return undefined;
  n.sends[id] = Math.min(MAX_SENDS, (n.sends[id] ?? 0) + 1);
  const wrong = overtakes(outbox, n, id);
  const other = n.workers[1 - worker];
  const owned = n.lease === "held" && other?.epoch === n.epoch && n.workers[worker]?.epoch !== n.epoch;
  n.delivered[id] = true;
  if (n.database === "up" && answer !== "rejected" && command.answer === "write") n.stored[id] = true;
  setTask(n, worker, id, answer === "silence" ? "waiting" : answer);
  if (wrong !== undefined) return wrong;
  if (owned) return `invariant 6: two workers send`;
  return undefined;
}

/** What may come of an emit now. */
function answersTo(outbox: Outbox, s: State, id: number): (Outcome | "silence")[] {
  const { commands, is } = outbox;
  const command = commands[id];
  if (command?.answer === "none") return ["received"];
  if (command?.answer === "relay") return [is("relay-as-write") ? "confirmed" : "relayed", "silence"];
  return s.database === "down" ? ["silence"] : ["confirmed", "rejected", "silence"];
}

/** No answer came in time; a barrier shows that the CAD's process has it. */
function onSilence(outbox: Outbox, n: State, worker: number, id: number): void {
  const { commands, scripts, is } = outbox;
  const again = commands[id]?.sets && (n.sends[id] ?? 0) < MAX_SENDS;
  if (is("barrier-as-write")) setTask(n, worker, id, "confirmed");
  else if (again && is("resend-after-settle")) {
    scripts.settle(n, worker, id, "unconfirmed");
    setTask(n, worker, id, "claimed");
  } else setTask(n, worker, id, again ? "due" : "unconfirmed");
}

/** What an exchange brings: begun, or to be begun. What the worker has in hand already it does not take again. */
export function exchange(outbox: Outbox, n: State, w: number, begins = true): void {
  const { scripts } = outbox;
  for (const { id, begun } of scripts.exchange(n, w, begins))
    if (n.workers[w]?.tasks[id] === "idle") setTask(n, w, id, begun ? "claimed" : "due");
}

export function* taskSteps(outbox: Outbox, s: State, w: number, id: number, task: Task): Iterable<Step<State>> {
  const { nameOf } = outbox;
  const who = `worker ${w + 1}`;
  if (task === "due") yield* claimSteps(outbox, s, w, id);
  else if (task === "claimed") {
    for (const answer of answersTo(outbox, s, id))
      yield step(s, `${who}: emits ${nameOf(id)}, hears ${answer}`, (n) => emit(outbox, n, w, id, answer));
  } else if (task === "waiting")
    yield step(s, `${who}: no answer to ${nameOf(id)} in time, the barrier returns`, (n) =>
      onSilence(outbox, n, w, id),
    );
  else if (isOutcome(task) && s.slot === "here") yield* settleSteps(outbox, s, w, id, task);
}

function* claimSteps({ scripts, nameOf }: Outbox, s: State, w: number, id: number): Iterable<Step<State>> {
  const who = `worker ${w + 1}`;
  if (s.slot === "here")
    yield step(s, `${who}: claims ${nameOf(id)}`, (n) =>
      setTask(n, w, id, scripts.claim(n, w, id) ? "claimed" : "idle"),
    );
  yield* fault(s, "lostReply", `the reply to the claim of ${nameOf(id)} is lost`, (n) => void scripts.claim(n, w, id));
  yield* fault(s, "lostWrite", `Redis restarts and has lost the claim of ${nameOf(id)}`, (n) => {
    const lost = cloneOf(n);
    if (scripts.claim(lost, w, id)) setTask(n, w, id, "claimed");
  });
}

function* settleSteps(outbox: Outbox, s: State, w: number, id: number, task: Outcome): Iterable<Step<State>> {
  const { scripts, is, nameOf } = outbox;
  const who = `worker ${w + 1}`;
  yield step(s, `${who}: settles ${nameOf(id)} as ${task}`, (n) => {
    const wrong = untrue(outbox, n, id, task);
    const wasFinal = isFinal(n.records[id] ?? "absent") ? n.records[id] : undefined;
    // What is ready is taken first: what this settlement makes ready comes with the next exchange.
    if (!is("take-after-settle")) exchange(outbox, n, w);
    scripts.settle(n, w, id, task);
    setTask(n, w, id, "idle");
    if (is("take-after-settle")) exchange(outbox, n, w);
    return wrong ?? (wasFinal !== undefined && n.records[id] !== wasFinal ? changed(outbox, id) : undefined);
  });
  yield* fault(s, "lostReply", `the reply to the settlement of ${nameOf(id)} is lost, it is repeated`, (n) => {
    scripts.exchange(n, w);
    scripts.settle(n, w, id, task);
  });
  yield* fault(s, "lostWrite", `Redis restarts and has lost the settlement of ${nameOf(id)}`, (n) => {
    const lost = cloneOf(n);
    if (!is("take-after-settle")) exchange(outbox, lost, w);
    scripts.settle(lost, w, id, task);
    if (is("take-after-settle")) exchange(outbox, lost, w);
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
      exchange(outbox, lost, w, false);
      n.workers = lost.workers;
    },
  );
}
