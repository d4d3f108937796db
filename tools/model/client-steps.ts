import type { Step } from "./explore.ts";
import { fault, type Outbox, step } from "./outbox.ts";
import type { State } from "./state.ts";

/** Who hands commands in, and who handles the dead letters that hold their place. */

export function* clientSteps(outbox: Outbox, s: State): Iterable<Step<State>> {
  const { commands, scripts, nameOf } = outbox;
  const id = s.appended;
  const appends = commands.filter(({ redriveOf }) => redriveOf === undefined).length;
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
function addJobs(outbox: Outbox, n: State, before: State): void {
  const { ids, scripts } = outbox;
  for (const id of ids) if (n.runnable[id] && !before.runnable[id]) n.jobs[id] = scripts.isDue(n);
}

export function* adminSteps(outbox: Outbox, s: State): Iterable<Step<State>> {
  const { commands, ids, scripts, nameOf } = outbox;
  if (s.slot !== "here") return;
  for (const id of ids) {
    const letter = commands[id]?.redriveOf;
    if (letter !== undefined && s.records[letter] === "held") {
      const label = `admin: redrives ${nameOf(letter)} in its place, as #${id + 1}`;
      yield step(s, label, (n) => {
        scripts.redrive(n, id);
        addJobs(outbox, n, s);
      });
      yield* fault(s, "lostWakeUp", `${label}, and its emit job is never added`, (n) => void scripts.redrive(n, id));
      yield* fault(s, "lostReply", `${label}, and again, since the reply is lost`, (n) => {
        scripts.redrive(n, id);
        addJobs(outbox, n, s);
        scripts.redrive(n, id);
      });
    }
    if (s.records[id] === "held")
      yield step(s, `admin: discards ${nameOf(id)}`, (n) => {
        scripts.discard(n, id);
        addJobs(outbox, n, s);
      });
  }
}
