import type { Random } from "../../simulator/random.ts";
import { FAULTS, type Fault } from "./faults.ts";

export interface Run {
  fault: Fault;
  seed: number;
}

export interface Plan {
  faults: readonly Fault[];
  seed: number;
  minutes: number;
  /** Whether to repeat the faults, with other seeds, while time is left. */
  repeat: boolean;
}

export const faultsFor = (minutes: number): Fault[] => FAULTS.filter(({ fromMinutes = 0 }) => minutes >= fromMinutes);

/**
 * Returns the next run: first every fault once, the longest first, so that the others run beside them; then all again
 * with the next seed. Undefined when nothing more fits into the remaining time.
 */
export function createSchedule({ faults, seed, repeat }: Plan, secondsLeft: () => number): () => Run | undefined {
  const longestFirst = faults.toSorted((a, b) => b.seconds - a.seconds);
  let round = 0;
  let waiting: Fault[] = [...longestFirst];
  return () => {
    if (waiting.length === 0 && repeat) {
      round += 1;
      waiting = [...longestFirst];
    }
    // The first round always runs; the caller ensures that there is time for it.
    const next = waiting.findIndex(({ seconds }) => round === 0 || seconds <= secondsLeft());
    return next === -1 ? undefined : { fault: waiting.splice(next, 1)[0] as Fault, seed: seed + round };
  };
}

/** A random seed, which is printed so that the run can be repeated. */
export const anySeed = (random: Random): number => Math.floor(random() * 1_000_000);
