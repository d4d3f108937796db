import { CHARACTERS, type CharacterName } from "../../simulator/characters.ts";
import { type Pair, pairNamed, pairsOf, planFault, type PlannedFault, planMore } from "./faults.ts";
import { mixed } from "../world/roll.ts";
import { MOST, STEPS } from "./steps.ts";
import { type PlannedCommand, type PlannedEvent, planCommands, planEvents } from "../hosts/workload.ts";

/** All that a run depends on, beside the code: the same schedule gives the same run, byte for byte. */
export interface Schedule {
  /** Decides on every delay, and on whatever else is left to chance. */
  seed: number;
  cad: CharacterName;
  workers: 1 | 2;
  /** How many services get the CAD's events; 0 if it is not there. */
  services?: number;
  /** Dead letters hold their place, and somebody handles them. */
  hold?: boolean;
  commands: readonly PlannedCommand[];
  /** Of the CAD itself. */
  events: readonly PlannedEvent[];
  faults: readonly PlannedFault[];
}

/** How many more faults a schedule has beside the one that it is for. */
const MOST_MORE = 3;
/** In how many schedules dead letters hold their place. */
const HOLD = 0.15;
/** How many commands the CAD rejects then, of the first of them. */
const REJECTED = 2;
const REJECTED_OF = 8;
const SERVICES = [0, 0, 1, 1, 2];
/** How often a fault is planned for as late as a step was ever taken, and not for where each run takes it. */
const LATE = 0.3;

/** Each pair of a step and a fault, in an order in which those of one step do not stand together. */
const PAIRS = pairsOf(Object.keys(STEPS.calm).concat(Object.keys(STEPS.rare)))
  .map((pair) => ({ pair, place: mixed(0, `${pair.step} ${pair.fault}`, 0) }))
  .toSorted((a, b) => a.place - b.place)
  .map(({ pair }) => pair);

/**
 * Each schedule is for one pair, and so many of them in a row as there are pairs are for all of them. A step that only some runs
 * take is met in the surroundings in which it was seen.
 */
export function planSchedule(seed: number): Schedule {
  const pair = PAIRS[seed % PAIRS.length] as Pair;
  const roll = (what: string) => mixed(seed, `${what} of the pair`, 0);
  const calm = STEPS.calm[pair.step];
  if (calm?.least) {
    const times = roll("late") < LATE ? calm.most : calm.least;
    const more = planMore(seed, MOST, MOST_MORE);
    const base = calmSchedule(seed);
    const rejected = base.hold ? Array.from({ length: REJECTED }, (_, i) => rejection(seed, i)) : [];
    return { ...base, faults: [planFault(pair, times, roll), ...more, ...rejected] };
  }
  const seen = calm?.seen ?? STEPS.rare[pair.step] ?? [];
  const one = seen[Math.floor(roll("seen") * seen.length)];
  if (!one) throw new Error(`nothing is known of the step ${pair.step}`);
  return { ...calmSchedule(one.seed), faults: [...(one.faults ?? []), planFault(pair, one.times, roll)] };
}

/** One of several schedules for a pair that the planned ones did not reach: no other fault comes before it. */
export function planFor(pair: Pair, attempt: number): Schedule {
  const roll = (what: string) => mixed(attempt, `${what} of ${pairNamed(pair)}`, 0);
  const calm = STEPS.calm[pair.step];
  const seen = calm?.seen ?? STEPS.rare[pair.step] ?? [];
  const one = seen[attempt % Math.max(1, seen.length)];
  const base = calmSchedule(one?.seed ?? 10_000 + attempt);
  const times = one?.times ?? calm?.least ?? 1;
  return { ...base, faults: [...(one?.faults ?? []), planFault(pair, times, roll)] };
}

/** So many seeds in a row; first those whose schedules are for one of the steps or faults named. */
export function* seedsOf(from: number, count: number, near: readonly string[] = []): Iterable<number> {
  const isFirst = (seed: number) => {
    const { step, fault } = PAIRS[seed % PAIRS.length] as Pair;
    return near.includes(step) || near.includes(fault);
  };
  if (near.length > 0) for (let seed = from; seed < from + count; seed += 1) if (isFirst(seed)) yield seed;
  for (let seed = from; seed < from + count; seed += 1) if (!isFirst(seed)) yield seed;
}

const rejection = (seed: number, i: number): PlannedFault =>
  planFault({ step: "frame emit", fault: "rejection" }, REJECTED_OF, (what) => mixed(seed, `rejected ${what}`, i));

/** The same without faults. */
export const calmSchedule = (seed: number): Schedule => ({
  seed,
  cad: CHARACTERS[mixed(seed, "cad", 0) < 0.5 ? 0 : 1] ?? "legacy",
  workers: mixed(seed, "workers", 0) < 0.3 ? 1 : 2,
  services: SERVICES[Math.floor(mixed(seed, "services", 0) * SERVICES.length)] ?? 0,
  ...(mixed(seed, "hold", 0) < HOLD && { hold: true }),
  commands: planCommands(seed),
  events: planEvents(seed),
  faults: [],
});
