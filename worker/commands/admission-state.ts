import { backoffMs } from "../../shared/util/backoff.ts";

/**
 * Which command may be sent, and what becomes of it after a send: one state machine, with three kinds of state.
 *
 * A **circuit** lets commands through or makes them wait. There is one for the connection, and for commands that need a database
 * write (`sets`) and for all others (`adds`) one each for everybody and one for each caller with misses.
 *
 *   closed  commands pass
 *     missed          closed, or open once enough voters missed since the last proof
 *     proved          closed, without misses
 *   open    commands wait; a few are sent as probes
 *     proved          closed
 *     missed, broke   open, with a longer wait until the next probes
 *     reconnected     open, with probes at once (the connection's circuit: unchanged, each suspect made a connection)
 *
 * What proves what: an ack or an echo that follows a write closes all circuits of a CAD; a relay's echo closes that of `adds` alone;
 * receipt closes the connection's. A miss counts only if nothing of its kind that was sent later was proved.
 *
 * Voters make it fair. A miss about units and incidents that were all answered before votes for the first of them, any other miss for
 * its caller alone: one caller with unknown ids opens its own circuit and nobody else's.
 *
 * An **event** that a CAD never echoes is no outage.
 *
 *   expected  its echo is waited for
 *     missed          expected, or unechoed once it was missed for enough keys while others were answered
 *   unechoed  waited for only briefly, never resent, and no evidence of an outage
 *     proved          expected
 *
 * A **suspect** is a command in flight when the connection broke.
 *
 *   none -broke-> suspect -broke, alone, often enough-> poison;  suspect -any answer-> none
 */
export interface AdmissionState {
  readonly connection: Circuit;
  readonly everybody: Readonly<Record<Effect, Circuit>>;
  /** Of callers with misses since the last proof. */
  readonly callers: Readonly<Record<Effect, ReadonlyMap<string, Circuit>>>;
  readonly events: ReadonlyMap<string, EventHabit>;
  readonly suspects: ReadonlyMap<string, Suspicion>;
}

export type Effect = "sets" | "adds";

/** What is known of a command once its record was read. */
export interface Candidate {
  readonly id: string;
  readonly event: string;
  readonly effect: Effect;
  readonly keys: readonly string[];
  readonly caller: string;
}

export interface Circuit {
  readonly phase: "closed" | "open";
  /** Since the last proof, the oldest first; the newest MAX_MISSES of them. */
  readonly misses: readonly Miss[];
  /** How often the connection broke over a lone suspect since the last proof. */
  readonly breaks: number;
  /** How often in a row the probes failed, and when the next may go, ms. */
  readonly trips: number;
  readonly probeAt: number;
}

export interface Miss {
  readonly command: Candidate;
  /** All its units and incidents were answered by this CAD before. */
  readonly known: boolean;
  /** When it was missed, ms. */
  readonly at: number;
}

export interface EventHabit {
  readonly is: "expected" | "unechoed";
  /** Whether this CAD ever echoed it. */
  readonly answered: boolean;
  /** The first keys of what was missed alone since it was last echoed. */
  readonly missed: ReadonlySet<string>;
  readonly count: number;
  /** When the first of them was missed, ms. */
  readonly since: number;
}

export interface Suspicion {
  readonly breaks: number;
  /** How often it was the only suspect on its way. */
  readonly alone: number;
}

/** What a send showed. `receipt`: the CAD's process has it. */
export type Proof = "write" | "relay" | "receipt";

export type Input =
  /** The CAD answered, by an ack, an echo or a barrier. */
  | { type: "proved"; command: Candidate; proof: Proof }
  /** The expected ack or echo did not come. `answered`: a command of its kind that was sent later was answered. */
  | { type: "missed"; command: Candidate; known: boolean; answered: boolean; now: number; roll: number }
  /** The connection ended with it in flight. `alone`: it was the only suspect on its way. `answered`: any command was answered since it was sent. */
  | { type: "broke"; command: Candidate; alone: boolean; probe: boolean; answered: boolean; now: number; roll: number }
  | { type: "reconnected"; now: number };

/** What is to happen to the command. */
export type Verdict =
  /** Nothing more than its outcome says. */
  | "none"
  /** It stays where it is until its circuit closes, and is resent then. Costs no attempt. */
  | "hold"
  /** It is resent in its place after a while, if it was not too often. */
  | "resend"
  /** It is settled as unconfirmed. */
  | "give up"
  /** It is what breaks the connection. */
  | { poison: number };

export interface Step {
  readonly state: AdmissionState;
  readonly verdict: Verdict;
}

/** From how many voters a circuit opens. */
const VOTERS = 3;
/** The same for lone suspects over which the connection broke: none of them is given up then. */
const LONE_BREAKS = 10;
/** For how many keys an event must be missed while others are answered until it counts as never echoed. */
const UNECHOED_KEYS = 5;
/** After how many broken connections a command is given up, and how often alone among the suspects. */
const POISON_BREAKS = 3;
const POISON_ALONE = 2;
/** When the next probes may go: from, to, ms. */
const PROBE_FROM_MS = 1000;
const PROBE_TO_MS = 5000;
const MAX_MISSES = 1000;

const CLOSED: Circuit = { phase: "closed", misses: [], breaks: 0, trips: 0, probeAt: 0 };
const NOBODY: ReadonlyMap<string, Circuit> = new Map();

export const INITIAL: AdmissionState = {
  connection: CLOSED,
  everybody: { sets: CLOSED, adds: CLOSED },
  callers: { sets: NOBODY, adds: NOBODY },
  events: new Map(),
  suspects: new Map(),
};

/** Pure. Answers the same state if nothing changed, which is so for nearly every answer of a healthy CAD. */
export function step(state: AdmissionState, input: Input): Step {
  switch (input.type) {
    case "proved":
      return { state: afterProof(state, input.command, input.proof), verdict: "none" };
    case "missed":
      return afterMiss(state, input);
    case "broke":
      return afterBreak(state, input);
    case "reconnected":
      return { state: afterReconnect(state, input.now), verdict: "none" };
  }
}

/** The open circuit that a command has to wait for, if there is one. */
export function blockedBy(
  state: AdmissionState,
  { effect, caller }: Pick<Candidate, "effect" | "caller">,
): { circuit: Circuit; of: "connection" | "everybody" | "caller" } | undefined {
  const own = state.callers[effect].get(caller);
  if (state.connection.phase === "open") return { circuit: state.connection, of: "connection" };
  if (state.everybody[effect].phase === "open") return { circuit: state.everybody[effect], of: "everybody" };
  return own?.phase === "open" ? { circuit: own, of: "caller" } : undefined;
}

/** True if no command has to wait, whoever sends it. */
export const isAllClosed = ({ connection, everybody, callers }: AdmissionState): boolean =>
  connection.phase === "closed" &&
  everybody.sets.phase === "closed" &&
  everybody.adds.phase === "closed" &&
  [callers.sets, callers.adds].every((of) => of.size === 0 || [...of.values()].every((c) => c.phase === "closed"));

export const isUnechoed = (state: AdmissionState, event: string): boolean => state.events.get(event)?.is === "unechoed";

/** True if something was missed about one of these keys since the last proof. */
export const isSilent = ({ misses }: Circuit, keys: readonly string[]): boolean =>
  misses.some((miss) => miss.command.keys.some((key) => keys.includes(key)));

function afterProof(before: AdmissionState, command: Candidate, proof: Proof): AdmissionState {
  const sets = proof === "write";
  const adds = proof !== "receipt";
  const after: AdmissionState = {
    connection: CLOSED,
    everybody: {
      sets: sets ? CLOSED : before.everybody.sets,
      adds: adds ? CLOSED : before.everybody.adds,
    },
    callers: {
      sets: sets ? NOBODY : before.callers.sets,
      adds: adds ? NOBODY : before.callers.adds,
    },
    events: adds ? eventProved(before.events, command.event) : before.events,
    suspects: without(before.suspects, command.id),
  };
  return isSame(before, after) ? before : after;
}

const isSame = (a: AdmissionState, b: AdmissionState): boolean =>
  a.connection === b.connection &&
  a.everybody.sets === b.everybody.sets &&
  a.everybody.adds === b.everybody.adds &&
  a.callers.sets === b.callers.sets &&
  a.callers.adds === b.callers.adds &&
  a.events === b.events &&
  a.suspects === b.suspects;

type Missed = Extract<Input, { type: "missed" }>;

function afterMiss(before: AdmissionState, input: Missed): Step {
  const { command, known, answered, now, roll } = input;
  const { effect, caller } = command;
  const suspects = without(before.suspects, command.id);
  // The CAD's process has it: that is an answer as far as the connection goes.
  const received = { ...before, connection: CLOSED, suspects };
  if (isUnechoed(before, command.event)) {
    return { state: { ...received, events: eventMissed(before.events, input) }, verdict: "give up" };
  }
  if (answered) {
    const state = { ...received, events: eventMissed(before.events, input) };
    return { state, verdict: verdictOf(state, command) };
  }
  const miss: Miss = { command, known, at: now };
  const callers = new Map(before.callers[effect]);
  callers.set(caller, withMiss(callers.get(caller) ?? CLOSED, miss, callerOpens, now, roll));
  const state: AdmissionState = {
    ...received,
    everybody: { ...before.everybody, [effect]: withMiss(before.everybody[effect], miss, everybodyOpens, now, roll) },
    callers: { ...before.callers, [effect]: callers },
  };
  return { state, verdict: verdictOf(state, command) };
}

function verdictOf(state: AdmissionState, command: Candidate): Verdict {
  if (command.effect === "adds" || isUnechoed(state, command.event)) return "give up";
  return blockedBy(state, command) ? "hold" : "resend";
}

/** Enough voters; or one command about what was answered before, missed again with nothing answered in between. */
function everybodyOpens(misses: readonly Miss[]): boolean {
  const voters = new Set(
    misses.map(({ known, command }) => (known ? `key ${command.keys[0]}` : `caller ${command.caller}`)),
  );
  if (voters.size >= VOTERS) return true;
  const newest = misses.at(-1);
  return Boolean(newest?.known && misses.filter(({ command }) => command.id === newest.command.id).length > 1);
}

/** One caller's: misses that have no unit or incident in common. One unit that the CAD does not know opens nothing. */
const callerOpens = (misses: readonly Miss[]): boolean => countApart(misses) >= VOTERS;

function countApart(misses: readonly Miss[]): number {
  const seen = new Set<string>();
  let count = 0;
  for (const { command } of misses) {
    if (!command.keys.some((key) => seen.has(key))) count += 1;
    for (const key of command.keys) seen.add(key);
  }
  return count;
}

function withMiss(
  circuit: Circuit,
  miss: Miss,
  opens: (misses: readonly Miss[]) => boolean,
  now: number,
  roll: number,
): Circuit {
  const misses = [...circuit.misses, miss].slice(-MAX_MISSES);
  if (circuit.phase === "closed") {
    const closed: Circuit = { ...circuit, misses };
    return opens(misses) ? tripped(closed, now, roll) : closed;
  }
  // What was sent before it opened is heard of afterwards, and is no reason to wait longer.
  return now >= circuit.probeAt ? tripped({ ...circuit, misses }, now, roll) : { ...circuit, misses };
}

function tripped(circuit: Circuit, now: number, roll: number): Circuit {
  const trips = circuit.trips + 1;
  return { ...circuit, phase: "open", trips, probeAt: now + backoffMs(trips, PROBE_FROM_MS, PROBE_TO_MS, () => roll) };
}

function eventProved(events: AdmissionState["events"], event: string): AdmissionState["events"] {
  const habit = events.get(event);
  if (habit?.answered && habit.missed.size === 0) return events;
  return new Map(events).set(event, { is: "expected", answered: true, missed: new Set(), count: 0, since: 0 });
}

/** It alone was missed. Once this CAD has echoed the event, only what it answered before counts: others' ids may be unknown to it. */
function eventMissed(events: AdmissionState["events"], { command, known, now }: Missed): AdmissionState["events"] {
  if (command.effect === "adds") return events;
  const habit = events.get(command.event) ?? {
    is: "expected",
    answered: false,
    missed: new Set(),
    count: 0,
    since: now,
  };
  if (habit.answered && !known) return events;
  const missed =
    habit.missed.size >= UNECHOED_KEYS ? habit.missed : new Set([...habit.missed, command.keys[0] ?? command.id]);
  return new Map(events).set(command.event, {
    ...habit,
    is: missed.size >= UNECHOED_KEYS ? "unechoed" : "expected",
    missed,
    count: habit.count + 1,
    since: habit.count === 0 ? now : habit.since,
  });
}

function afterBreak(before: AdmissionState, input: Extract<Input, { type: "broke" }>): Step {
  const { command, alone, probe, answered, now, roll } = input;
  const trip = (connection: Circuit, breaks: number, opens: (misses: readonly Miss[]) => boolean) =>
    withMiss({ ...connection, breaks }, { command, known: false, at: now }, opens, now, roll);
  const { connection } = before;
  // It was sent to see whether the connection holds: that it does not says nothing of this command.
  if (probe) {
    return {
      state:
        connection.phase === "closed"
          ? before
          : { ...before, connection: trip(connection, connection.breaks, () => true) },
      verdict: "none",
    };
  }
  const was = before.suspects.get(command.id) ?? { breaks: 0, alone: 0 };
  const suspicion = { breaks: was.breaks + 1, alone: was.alone + (alone ? 1 : 0) };
  const isPoison = suspicion.breaks >= POISON_BREAKS && suspicion.alone >= POISON_ALONE;
  const suspects = isPoison
    ? without(before.suspects, command.id)
    : new Map(before.suspects).set(command.id, suspicion);
  const verdict: Verdict = isPoison ? { poison: suspicion.breaks } : "none";
  if (answered || (!isPoison && !alone)) return { state: { ...before, suspects }, verdict };
  if (isPoison)
    return { state: { ...before, suspects, connection: trip(connection, connection.breaks, callerOpens) }, verdict };
  const breaks = connection.breaks + 1;
  const next = breaks >= LONE_BREAKS ? trip(connection, breaks, () => true) : { ...connection, breaks };
  return { state: { ...before, suspects, connection: next }, verdict };
}

/** A new connection may lead to a CAD that is well again. The connection's own circuit is not helped by one. */
function afterReconnect(before: AdmissionState, now: number): AdmissionState {
  const at = (circuit: Circuit): Circuit =>
    circuit.phase === "open" ? { ...circuit, trips: 0, probeAt: Math.min(circuit.probeAt, now) } : circuit;
  const all = (circuits: ReadonlyMap<string, Circuit>) => new Map([...circuits].map(([caller, c]) => [caller, at(c)]));
  const { everybody, callers } = before;
  return {
    ...before,
    everybody: { sets: at(everybody.sets), adds: at(everybody.adds) },
    callers: { sets: all(callers.sets), adds: all(callers.adds) },
  };
}

function without<V>(map: ReadonlyMap<string, V>, key: string): ReadonlyMap<string, V> {
  if (!map.has(key)) return map;
  const rest = new Map(map);
  rest.delete(key);
  return rest;
}
