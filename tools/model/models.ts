import { BREAKER_SCENARIOS, breakerOf } from "./breaker.ts";
import { CURSOR_SCENARIOS, cursorsOf } from "./cursors.ts";
import { explore, type Explored, type Model } from "./explore.ts";
import type { Mutant } from "./mutants.ts";
import { protocolOf } from "./protocol.ts";
import { SCENARIOS } from "./scenarios.ts";

/** A scenario of one of the models, ready to be explored; with a bug, if one is named. */
export interface Explorable {
  name: string;
  explore(maxStates: number, mutant?: Mutant): Explored;
}

const explorable =
  <Scenario extends { name: string }, State>(modelOf: (scenario: Scenario, mutant?: Mutant) => Model<State>) =>
  (scenario: Scenario): Explorable => ({
    name: scenario.name,
    explore: (maxStates, mutant) => explore(modelOf(scenario, mutant), maxStates),
  });

/** Each is explored to its end: the outbox, the way of events to a service, the circuit breaker. */
export const MODELS: readonly Explorable[] = [
  ...SCENARIOS.map(explorable(protocolOf)),
  ...CURSOR_SCENARIOS.map(explorable(cursorsOf)),
  ...BREAKER_SCENARIOS.map(explorable(breakerOf)),
];
