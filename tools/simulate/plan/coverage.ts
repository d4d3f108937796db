import { pairNamed, pairsOf } from "./faults.ts";

/** Which fault struck at which step, over all runs. */
export interface Coverage {
  reached: string[];
  missed: string[];
}

export function coverageOf(steps: Iterable<string>, struck: ReadonlyMap<string, number>): Coverage {
  const pairs = pairsOf(new Set(steps)).map(pairNamed);
  return {
    reached: pairs.filter((pair) => struck.has(pair)),
    missed: pairs.filter((pair) => !struck.has(pair)),
  };
}
