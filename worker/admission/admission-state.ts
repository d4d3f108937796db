import {
  afterMiss,
  afterReconnect,
  type Candidate,
  type Circuit,
  CLOSED,
  type Effect,
  type Miss,
  opensForCaller,
  opensForEverybody,
} from "./circuit.ts";
import { afterEcho, afterMissedEcho, type EchoHabits } from "./echo-habit.ts";
import { acquit, afterBreak, type Suspects } from "./poison-detector.ts";

/**
 * Which commands may be sent, and what follows for one after a send. Three kinds of state, each documented in its file:
 * circuits (circuit.ts), echo habits (echo-habit.ts) and suspects (poison-detector.ts).
 *
 * | input | circuits | echo habit | suspects |
 * | --- | --- | --- | --- |
 * | proved: a write | all closed | expected | acquitted |
 * | proved: a relay | the connection's and those of `adds` closed | expected | acquitted |
 * | proved: receipt | the connection's closed | | acquitted |
 * | missed, unechoed event | the connection's closed | missed | acquitted |
 * | missed, others answered | the connection's closed | missed | acquitted |
 * | missed, none answered | the connection's closed; a miss for its caller's and everybody's | | acquitted |
 * | broke | the connection's: opens when probes or lone suspects break it | | suspect or poison |
 * | reconnected | all but the connection's: probes at once | | |
 */
export interface AdmissionState {
  readonly connection: Circuit;
  /** Commands that need a database write (`sets`), and all others. */
  readonly everybody: Readonly<Record<Effect, Circuit>>;
  /** Of callers with misses since the last proof. */
  readonly callers: Readonly<Record<Effect, ReadonlyMap<string, Circuit>>>;
  readonly events: EchoHabits;
  readonly suspects: Suspects;
}

/** What a send showed. `receipt`: the CAD's process has it. */
export type Evidence = "write" | "relay" | "receipt";

export type Input =
  /** The CAD answered, by an ack, an echo or a barrier. */
  | { type: "proved"; command: Candidate; proof: Evidence }
  /**
   * The expected ack or echo did not come. `answered`: a command of its kind that was sent later was answered. `alone`: one was that was
   * sent after this one was first sent: it is this command that goes unanswered.
   */
  | {
      type: "missed";
      command: Candidate;
      known: boolean;
      answered: boolean;
      alone: boolean;
      now: number;
      roll: number;
    }
  /** The connection ended with it in flight. `alone`: it was the only suspect. `answered`: any command was answered since it was sent. */
  | { type: "broke"; command: Candidate; alone: boolean; probe: boolean; answered: boolean; now: number; roll: number }
  | { type: "reconnected"; now: number };

/** What is to happen to the command. */
export type Verdict =
  /** Nothing more than its outcome says. */
  | "none"
  /** It stays where it is until its circuit closes, and is resent then. Costs no attempt. */
  | "hold"
  /** It alone goes unanswered: it is resent in its place after a while, if it was not too often. */
  | "resend"
  /** Command and CAD cannot be told apart as the cause: it is resent in its place after a while. Costs no attempt. */
  | "retry"
  /** It is settled as unconfirmed. */
  | "giveUp"
  /** It is what breaks the connection. */
  | { poison: number };

export interface Step {
  readonly state: AdmissionState;
  readonly verdict: Verdict;
}

/** After how many lone suspects the connection's circuit opens: none of them is given up then. */
const LONE_BREAKS = 10;

const NO_CALLERS: ReadonlyMap<string, Circuit> = new Map();

export const INITIAL: AdmissionState = {
  connection: CLOSED,
  everybody: { sets: CLOSED, adds: CLOSED },
  callers: { sets: NO_CALLERS, adds: NO_CALLERS },
  events: new Map(),
  suspects: new Map(),
};

/** Pure. Returns the same state if nothing changed, which is so for nearly every answer of a healthy CAD. */
export function step(state: AdmissionState, input: Input): Step {
  switch (input.type) {
    case "proved":
      return { state: proved(state, input.command, input.proof), verdict: "none" };
    case "missed":
      return missed(state, input);
    case "broke":
      return broke(state, input);
    case "reconnected":
      return { state: reconnected(state, input.now), verdict: "none" };
  }
}

/** The open circuit that a command has to wait for, if there is one. */
export function blockedBy(
  { connection, everybody, callers }: AdmissionState,
  { effect, caller }: Pick<Candidate, "effect" | "caller">,
): { circuit: Circuit; of: "connection" | "everybody" | "caller" } | undefined {
  if (connection.phase === "open") return { circuit: connection, of: "connection" };
  if (everybody[effect].phase === "open") return { circuit: everybody[effect], of: "everybody" };
  const own = callers[effect].get(caller);
  return own?.phase === "open" ? { circuit: own, of: "caller" } : undefined;
}

/** True if no caller's commands have to wait. */
export const isAllClosed = ({ connection, everybody, callers }: AdmissionState): boolean =>
  connection.phase === "closed" &&
  everybody.sets.phase === "closed" &&
  everybody.adds.phase === "closed" &&
  [callers.sets, callers.adds].every((of) => of.size === 0 || [...of.values()].every((c) => c.phase === "closed"));

export const isUnechoed = (state: AdmissionState, event: string): boolean => state.events.get(event)?.is === "unechoed";

function proved(before: AdmissionState, command: Candidate, proof: Evidence): AdmissionState {
  const { everybody, callers } = before;
  const sets = proof === "write";
  const adds = proof !== "receipt";
  const after: AdmissionState = {
    connection: CLOSED,
    everybody: { sets: sets ? CLOSED : everybody.sets, adds: adds ? CLOSED : everybody.adds },
    callers: { sets: sets ? NO_CALLERS : callers.sets, adds: adds ? NO_CALLERS : callers.adds },
    events: adds ? afterEcho(before.events, command.event) : before.events,
    suspects: acquit(before.suspects, command.id),
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

function missed(before: AdmissionState, input: Extract<Input, { type: "missed" }>): Step {
  const { command, known, answered, now } = input;
  const { effect, caller } = command;
  // The CAD's process has it: that is an answer as far as the connection goes.
  const received = { ...before, connection: CLOSED, suspects: acquit(before.suspects, command.id) };
  if (answered || isUnechoed(before, command.event)) {
    const state = { ...received, events: afterMissedEcho(before.events, input) };
    return { state, verdict: verdictOf(state, command, true) };
  }
  const miss: Miss = { command, known, alone: input.alone, at: now };
  const callers = new Map(before.callers[effect]);
  callers.set(caller, afterMiss(callers.get(caller) ?? CLOSED, miss, opensForCaller, input));
  const everybodys = afterMiss(before.everybody[effect], miss, opensForEverybody, input);
  const state: AdmissionState = {
    ...received,
    everybody: { ...before.everybody, [effect]: everybodys },
    callers: { ...before.callers, [effect]: callers },
  };
  return { state, verdict: verdictOf(state, command, input.alone) };
}

function verdictOf(state: AdmissionState, command: Candidate, alone: boolean): Verdict {
  if (command.effect === "adds" || isUnechoed(state, command.event)) return "giveUp";
  if (blockedBy(state, command)) return "hold";
  return alone ? "resend" : "retry";
}

function broke(before: AdmissionState, input: Extract<Input, { type: "broke" }>): Step {
  const { command, alone, probe, answered, now } = input;
  const { connection } = before;
  const withMiss = (circuit: Circuit, opens: (misses: readonly Miss[]) => boolean): Circuit =>
    afterMiss(circuit, { command, known: false, alone: false, at: now }, opens, input);
  // It was sent to see whether the connection holds: that it does not says nothing of this command.
  if (probe) {
    const state = connection.phase === "open" ? { ...before, connection: withMiss(connection, () => true) } : before;
    return { state, verdict: "none" };
  }
  const { suspects, poison } = afterBreak(before.suspects, command.id, alone);
  const verdict: Verdict = poison === undefined ? "none" : { poison };
  if (answered || (poison === undefined && !alone)) return { state: { ...before, suspects }, verdict };
  if (poison !== undefined) {
    return { state: { ...before, suspects, connection: withMiss(connection, opensForCaller) }, verdict };
  }
  const counted = { ...connection, breaks: connection.breaks + 1 };
  const next = counted.breaks >= LONE_BREAKS ? withMiss(counted, () => true) : counted;
  return { state: { ...before, suspects, connection: next }, verdict };
}

/** The connection's own circuit is not helped by a new connection: each suspect made one. */
function reconnected(before: AdmissionState, now: number): AdmissionState {
  const { everybody, callers } = before;
  const each = (circuits: ReadonlyMap<string, Circuit>) =>
    new Map([...circuits].map(([caller, circuit]) => [caller, afterReconnect(circuit, now)]));
  return {
    ...before,
    everybody: { sets: afterReconnect(everybody.sets, now), adds: afterReconnect(everybody.adds, now) },
    callers: { sets: each(callers.sets), adds: each(callers.adds) },
  };
}
