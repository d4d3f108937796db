import type { Model, Step } from "./explore.ts";
import type { Mutant } from "./mutants.ts";

/**
 * The way of the CAD's events to a service, as steps that may be taken in any order: the CAD sends, the leader writes the journal,
 * a destination's handler puts each entry into its outbox, its cursor is noted, the outbox is posted entry by entry, and settled.
 * Also the cursor of what was received from the CAD: a new leader recovers what its predecessor did not write, or records a gap.
 *
 * Left out: the lease itself (protocol.ts has it; here the next worker leads once the last one is dead, or was given up while it
 * was frozen), the circuit breaker of a destination, dead letters.
 */

/** What becomes of an entry in the outbox. */
type Stored = "absent" | "queued" | "settled";
/** What a worker does with an entry: for its handler, and for its webhook. */
type Work = "idle" | "doing" | "done";

interface Worker {
  life: "up" | "frozen" | "dead";
  /** 0: it stands by. */
  epoch: number;
  /** It knows that nothing before its line is missing. */
  recovered: boolean;
  /** Received from the CAD, and not written yet. */
  held: boolean[];
  handled: Work[];
  posted: Work[];
}

interface State {
  /** How many events the CAD has sent. */
  sent: number;
  /** In the journal; the order in it is that in which the CAD sent. */
  journal: boolean[];
  gap: boolean;
  /** Redis notes that everything up to here is in the journal. */
  heard: number;
  /** All entries before this one are done, as Redis has it. */
  cursor: number;
  outbox: Stored[];
  /** How often the service got each, up to 2, and the newest that it got of each key. */
  got: number[];
  newest: { A: number; B: number };
  epoch: number;
  workers: [Worker, Worker];
  faults: Record<"crash" | "freeze" | "failure" | "lostReply", number>;
}

export interface CursorScenario {
  name: string;
  /** The ordering keys of each event. */
  events: readonly (readonly ("A" | "B")[])[];
  /** The CAD can send again what was missed. */
  replays: boolean;
  faults: Partial<State["faults"]>;
}

export const CURSOR_SCENARIOS: readonly CursorScenario[] = [
  {
    name: "events to a service, one of two keys behind another: crash, failure, lost reply",
    events: [["A"], ["A", "B"]],
    replays: true,
    faults: { crash: 1, failure: 1, lostReply: 1 },
  },
  {
    name: "three events to a service, one of two keys between two others: crash",
    events: [["A"], ["A", "B"], ["B"]],
    replays: true,
    faults: { crash: 1 },
  },
  {
    name: "events to a service: a worker freezes while another takes over",
    events: [["A"], ["A"]],
    replays: true,
    faults: { freeze: 1 },
  },
  {
    name: "events of a CAD that cannot replay: crash",
    events: [["A"], ["A", "B"]],
    replays: false,
    faults: { crash: 1 },
  },
];

const clone = (s: State): State => ({
  ...s,
  journal: [...s.journal],
  outbox: [...s.outbox],
  got: [...s.got],
  newest: { ...s.newest },
  workers: [cloneWorker(s.workers[0]), cloneWorker(s.workers[1])],
  faults: { ...s.faults },
});
const cloneWorker = (w: Worker): Worker => ({
  ...w,
  held: [...w.held],
  handled: [...w.handled],
  posted: [...w.posted],
});

export function cursorsOf({ events, replays, faults }: CursorScenario, mutant?: Mutant): Model<State> {
  const is = (m: Mutant) => mutant === m;
  const ids = events.map((_, id) => id);
  const each = <T>(value: T): T[] => events.map(() => value);
  const worker = (): Worker => ({
    ...{ life: "up", epoch: 0, recovered: false },
    ...{ held: each(false), handled: each<Work>("idle"), posted: each<Work>("idle") },
  });
  const nameOf = (id: number) => `event ${id + 1} (${events[id]?.join("+")})`;
  const sharesKey = (a: number, b: number) => events[a]?.some((key) => events[b]?.includes(key)) ?? false;
  const leads = (s: State, w: number) => s.workers[w]?.epoch === s.epoch && s.epoch > 0;

  type Change = (next: State, mine: Worker) => string | undefined | void;
  function step(s: State, w: number, label: string, change: Change, fault = false): Step<State> {
    const next = clone(s);
    const broken = change(next, next.workers[w] as Worker) ?? undefined;
    return { label, fault, state: next, ...(broken !== undefined && { broken }) };
  }
  function strike(s: State, w: number, kind: keyof State["faults"], label: string, change: Change): Step<State>[] {
    if (s.faults[kind] === 0) return [];
    const counted: Change = (n, mine) => {
      n.faults[kind] -= 1;
      return change(n, mine);
    };
    return [step(s, w, `FAULT: ${label}`, counted, true)];
  }

  /** The service gets it. */
  function get(n: State, id: number): string | undefined {
    const overtaken = (events[id] ?? []).find((key) => n.newest[key] > id);
    n.got[id] = Math.min(2, (n.got[id] ?? 0) + 1);
    for (const key of events[id] ?? []) n.newest[key] = Math.max(n.newest[key], id);
    return overtaken === undefined
      ? undefined
      : `order: the service gets ${nameOf(id)} after a newer one of ${overtaken}`;
  }

  /** Its first entry that is not done: up to there the cursor may go. */
  const firstUndone = (s: State, { handled }: Worker): number => {
    const first = ids.find((id) => id >= s.cursor && (!s.journal[id] || handled[id] !== "done"));
    return first ?? events.length;
  };

  function begin(n: State, mine: Worker): void {
    n.epoch += 1;
    Object.assign(mine, worker(), { epoch: n.epoch });
  }

  function* journalSteps(s: State, w: number, mine: Worker): Iterable<Step<State>> {
    const who = `worker ${w + 1}`;
    if (!mine.recovered)
      yield step(s, w, `${who}: recovers what it missed, or records a gap`, (n, me) => {
        const missing = ids.filter((id) => id >= n.heard && id < n.sent && !n.journal[id]);
        if (!is("gap-in-silence") && replays) for (const id of missing) me.held[id] = true;
        else if (!is("gap-in-silence") && missing.length > 0) n.gap = true;
        me.recovered = true;
      });
    const next = ids.find((id) => mine.held[id]);
    if (next !== undefined && mine.recovered) {
      const write: Change = (n, me) => {
        // A worker that lost its lease must not write: a batch that is sent again is recognised by its number.
        if (leads(n, w)) n.journal[next] = true;
        me.held[next] = false;
      };
      yield step(s, w, `${who}: writes ${nameOf(next)} into the journal`, write);
      yield* strike(s, w, "lostReply", `the reply to writing ${nameOf(next)} is lost`, (n) => {
        if (leads(n, w)) n.journal[next] = true;
      });
    }
    const heard = mine.held.every((held) => !held) ? s.sent : s.heard;
    if (mine.recovered && heard > s.heard && leads(s, w))
      yield step(s, w, `${who}: notes that it heard all up to ${heard}`, (n) => void (n.heard = heard));
  }

  function* handlerSteps(s: State, w: number, mine: Worker): Iterable<Step<State>> {
    const who = `worker ${w + 1}`;
    for (const id of ids) {
      const waits = ids.some(
        (other) =>
          other < id && sharesKey(id, other) && s.journal[other] && mine.handled[other] !== "done" && other >= s.cursor,
      );
      if (s.journal[id] && id >= s.cursor && mine.handled[id] === "idle" && !waits)
        yield step(s, w, `${who}: the handler takes ${nameOf(id)}`, (_, me) => void (me.handled[id] = "doing"));
      if (mine.handled[id] !== "doing") continue;
      // Of the worker alone: it asks whether it owns the CAD before it sends, and not here.
      yield step(s, w, `${who}: puts ${nameOf(id)} into the outbox`, (n, me) => {
        if (n.outbox[id] === "absent" || is("append-again")) n.outbox[id] = "queued";
        me.handled[id] = "done";
      });
    }
    const next = is("cursor-before-delivery")
      ? Math.max(s.cursor, ...ids.map((id) => (mine.handled[id] === "idle" ? 0 : id + 1)))
      : firstUndone(s, mine);
    if (next > s.cursor && leads(s, w))
      yield step(s, w, `${who}: notes the cursor ${next}`, (n) => void (n.cursor = next));
  }

  function* webhookSteps(s: State, w: number, mine: Worker): Iterable<Step<State>> {
    const who = `worker ${w + 1}`;
    for (const id of ids) {
      const isHead = !ids.some((other) => other < id && sharesKey(id, other) && s.outbox[other] === "queued");
      if (s.outbox[id] === "queued" && isHead && mine.posted[id] === "idle" && leads(s, w)) {
        const post = (n: State, me: Worker) => {
          me.posted[id] = "done";
          return get(n, id);
        };
        if (is("webhook-settled-first"))
          yield step(s, w, `${who}: settles ${nameOf(id)}, and will post it`, (n, me) => {
            n.outbox[id] = "settled";
            me.posted[id] = "doing";
          });
        else yield step(s, w, `${who}: posts ${nameOf(id)}, 204`, post);
        yield* strike(
          s,
          w,
          "failure",
          `the service answers ${nameOf(id)} with 500`,
          (_, me) => void (me.posted[id] = is("failure-as-success") ? "done" : "idle"),
        );
        yield* strike(s, w, "lostReply", `the service gets ${nameOf(id)}, and its answer is lost`, (n) => get(n, id));
      }
      if (mine.posted[id] === "doing")
        yield step(s, w, `${who}: posts ${nameOf(id)}, 204`, (n, me) => {
          me.posted[id] = "done";
          return get(n, id);
        });
      if (mine.posted[id] === "done" && s.outbox[id] === "queued")
        yield step(s, w, `${who}: settles ${nameOf(id)}`, (n, me) => {
          if (leads(n, w)) n.outbox[id] = "settled";
          else me.epoch = 0;
        });
    }
  }

  function* workerSteps(s: State, w: number): Iterable<Step<State>> {
    const mine = s.workers[w];
    const other = s.workers[1 - w];
    const who = `worker ${w + 1}`;
    if (!mine || !other) return;
    if (mine.life === "frozen") {
      yield step(s, w, `${who}: thaws`, (_, me) => void (me.life = "up"));
      return;
    }
    if (mine.life === "dead") return void (yield step(s, w, `${who}: starts again`, (_, me) => void (me.life = "up")));
    if (mine.epoch === 0) {
      const free = !(leads(s, 1 - w) && other.life === "up");
      if (free) yield step(s, w, `${who}: takes the lease, and connects`, begin);
    } else {
      if (!leads(s, w)) yield step(s, w, `${who}: stands by`, (_, me) => void Object.assign(me, worker()));
      yield* journalSteps(s, w, mine);
      yield* handlerSteps(s, w, mine);
      yield* webhookSteps(s, w, mine);
    }
    yield* strike(s, w, "crash", `${who} is killed`, (_, me) => void Object.assign(me, worker(), { life: "dead" }));
    yield* strike(s, w, "freeze", `${who} freezes`, (_, me) => void (me.life = "frozen"));
  }

  return {
    initial: {
      ...{ sent: 0, journal: each(false), gap: false, heard: 0, cursor: 0, outbox: each<Stored>("absent") },
      ...{ got: each(0), newest: { A: -1, B: -1 }, epoch: 0, workers: [worker(), worker()] },
      faults: { ...{ crash: 0, freeze: 0, failure: 0, lostReply: 0 }, ...faults },
    },
    *steps(s) {
      // What the CAD sends before anybody ever listened, nobody missed.
      if (s.sent < events.length && s.epoch > 0)
        yield step(s, 0, `the CAD sends ${nameOf(s.sent)}`, (n) => {
          const hears = n.workers.find(({ life, epoch }) => life !== "dead" && epoch === n.epoch);
          if (hears) hears.held[n.sent] = true;
          n.sent += 1;
        });
      for (const w of [0, 1]) yield* workerSteps(s, w);
    },
    keyOf: ({ workers, ...rest }) => {
      // An epoch matters by whose it is alone: the two workers are alike.
      const alike = workers.map((w) =>
        JSON.stringify({ ...w, epoch: w.epoch === 0 ? 0 : w.epoch === rest.epoch ? 2 : 1 }),
      );
      return JSON.stringify([{ ...rest, epoch: Math.min(1, rest.epoch) }, alike.toSorted()]);
    },
    check(s) {
      for (const id of ids) {
        if (s.cursor > id && s.journal[id] && s.outbox[id] === "absent")
          return `cursor: it is past ${nameOf(id)}, which is in no outbox`;
        if (s.outbox[id] === "settled" && s.got[id] === 0)
          return `delivery: ${nameOf(id)} is settled, and the service never got it`;
        if (s.heard > id && !s.journal[id] && !s.gap)
          return `gap: ${nameOf(id)} is missing from the journal, and no gap says so`;
      }
      return undefined;
    },
    isGoal: (s) =>
      s.sent === events.length &&
      ids.every((id) => (s.journal[id] ? s.outbox[id] === "settled" : s.gap)) &&
      s.workers.some(({ epoch, life }) => epoch === s.epoch && life === "up"),
  };
}
