import {
  type AdmissionState,
  blockedBy,
  INITIAL,
  type Input,
  step as admit,
} from "../../worker/admission/admission-state.ts";
import type { Candidate, Circuit, Effect } from "../../worker/admission/circuit.ts";
import { chooseProbes } from "../../worker/admission/probes.ts";
import type { Model, Step } from "./explore.ts";
import type { Mutant } from "./mutants.ts";

/**
 * The circuit breaker of the commands. Here the model is around the code itself: the pure functions of worker/admission decide,
 * and a CAD whose database stops, or that stays silent now and then, answers. Time is whether the next probes may go yet.
 */

interface BreakerCommand {
  effect: Effect;
  key: string;
  caller: string;
  /** Its unit or incident was answered before. */
  known: boolean;
}

export interface BreakerScenario {
  name: string;
  commands: readonly BreakerCommand[];
  faults: { database: number; silence: number };
}

const set = (key: string, caller: string, known = true): BreakerCommand => ({ effect: "sets", key, caller, known });
const add = (key: string, caller: string): BreakerCommand => ({ effect: "adds", key, caller, known: true });

export const BREAKER_SCENARIOS: readonly BreakerScenario[] = [
  {
    name: "the circuit breaker: the CAD's database stops, relays go on",
    commands: [set("A", "x"), set("B", "y"), add("C", "x"), set("D", "x")],
    faults: { database: 1, silence: 1 },
  },
  {
    name: "the circuit breaker: one caller's unknown units stay silent",
    commands: [set("A", "x", false), set("B", "x", false), set("C", "x", false), set("D", "y")],
    faults: { database: 0, silence: 6 },
  },
];

type Fate = "waiting" | "sent" | "final";
interface State {
  admission: AdmissionState;
  database: "up" | "down";
  /** The time, ms: it passes only to where the next probes may go. */
  now: number;
  fates: Fate[];
  faults: BreakerScenario["faults"];
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

/** Of a circuit what makes a difference: whose misses, once or more than once, and whether its probes may go. */
function circuitKey({ phase, misses, trips, probeAt }: Circuit, now: number): unknown {
  const counts = new Map<string, number>();
  for (const { command } of misses) counts.set(command.id, Math.min(2, (counts.get(command.id) ?? 0) + 1));
  return [phase, [...counts].toSorted(byName), misses.at(-1)?.command.id, Math.min(trips, 2), probeAt <= now];
}

/** What no single step may do. */
function brokenBy(before: AdmissionState, after: AdmissionState, input: Input): string | undefined {
  const { sets } = before.everybody;
  const wasWrite = input.type === "proved" && input.command.effect === "sets" && input.proof === "write";
  if (sets.phase === "open" && after.everybody.sets.phase === "closed" && !wasWrite)
    return "breaker: what proves no write closes the circuit of commands that need one";
  return undefined;
}

export function breakerOf({ commands, faults }: BreakerScenario, mutant?: Mutant): Model<State> {
  const is = (m: Mutant) => mutant === m;
  const all = commands.map(({ effect, key, caller }, id): Candidate => ({
    id: String(id),
    event: effect,
    effect,
    keys: [key],
    caller,
  }));
  const nameOf = (id: number) => `#${id + 1} (${commands[id]?.effect} ${commands[id]?.key}, ${commands[id]?.caller})`;

  function* answers(s: State, id: number, command: Candidate): Iterable<Step<State>> {
    const feed = (input: Input, label: string, faulty = false): Step<State> => {
      const { state: admission, verdict } = admit(s.admission, input);
      const stays = verdict === "hold" || verdict === "resend" || verdict === "retry";
      const fates = s.fates.with(id, stays ? "waiting" : "final");
      const budget = faulty ? { ...s.faults, silence: s.faults.silence - 1 } : s.faults;
      const broken = brokenBy(s.admission, admission, input);
      return {
        ...{ label: `${nameOf(id)} ${label}`, fault: faulty, state: { ...s, admission, fates, faults: budget } },
        ...(broken !== undefined && { broken }),
      };
    };
    const missed = {
      type: "missed",
      command,
      known: commands[id]?.known ?? false,
      answered: false,
      alone: false,
      now: s.now,
      roll: 0,
    } as const;
    if (command.effect === "adds")
      yield feed({ type: "proved", command, proof: is("relay-closes-sets") ? "write" : "relay" }, "is relayed");
    else if (s.database === "down") yield feed(missed, "gets no answer: the CAD's database is down");
    else yield feed({ type: "proved", command, proof: "write" }, "is confirmed by a write");
    if (s.faults.silence > 0) yield feed(missed, "gets no answer", true);
  }

  return {
    initial: {
      ...{ admission: INITIAL, database: "up", now: 0, fates: commands.map(() => "waiting"), faults: { ...faults } },
    },
    *steps(s) {
      const blocked = all.filter((command, id) => s.fates[id] === "waiting" && blockedBy(s.admission, command));
      const inFlight = new Map<string, { all: number; silent: number }>();
      const { probes, nextAt } = chooseProbes(is("no-probes") ? [] : blocked, {
        ...{ state: s.admission, now: s.now, inFlight, turnOf: () => 0, lastTurn: 0 },
        isKnown: ({ id }) => commands[Number(id)]?.known ?? false,
      });
      const probing = s.fates.some((fate, id) => fate === "sent" && blockedBy(s.admission, all[id] as Candidate));
      for (const [id, command] of all.entries()) {
        const fate = s.fates[id];
        const isProbe = !probing && probes.some((probe) => probe.command === command);
        if (fate === "waiting" && (!blocked.includes(command) || isProbe))
          yield {
            label: `${nameOf(id)} is sent${isProbe ? " as a probe" : ""}`,
            ...{ fault: false, state: { ...s, fates: s.fates.with(id, "sent") } },
          };
        if (fate === "sent") yield* answers(s, id, command);
      }
      if (nextAt !== Infinity && nextAt > s.now)
        yield { label: "the next probes may go", fault: false, state: { ...s, now: nextAt } };
      if (s.database === "down")
        yield { label: "the CAD's database returns", fault: false, state: { ...s, database: "up" } };
      else if (s.faults.database > 0) {
        const budget = { ...s.faults, database: s.faults.database - 1 };
        yield {
          label: "FAULT: the CAD's database stops",
          ...{ fault: true, state: { ...s, database: "down", faults: budget } },
        };
      }
    },
    keyOf({ admission, now, ...rest }) {
      const { connection, everybody, callers } = admission;
      const circuits = [connection, everybody.sets, everybody.adds].map((circuit) => circuitKey(circuit, now));
      const theirs = [callers.sets, callers.adds].map((of) =>
        [...of].map(([caller, circuit]) => [caller, circuitKey(circuit, now)] as const).toSorted(byName),
      );
      return JSON.stringify([rest, circuits, theirs]);
    },
    check({ admission }) {
      const { sets } = admission.everybody;
      const voters = new Set(sets.misses.map(({ command }) => command.caller));
      if (sets.phase === "open" && voters.size === 1 && sets.misses.every(({ known }) => !known))
        return "fairness: one caller's unknown units stop everybody's commands";
      return undefined;
    },
    isGoal: ({ fates }) => fates.every((fate) => fate === "final"),
  };
}
