import { BREAKER_SCENARIOS, breakerOf } from "./breaker.ts";
import { CURSOR_SCENARIOS, cursorsOf } from "./cursors.ts";
import { explore, type Explored, type Model } from "./explore.ts";
import type { Mutant } from "./mutants.ts";
import { protocolOf } from "./protocol.ts";
import { SCENARIOS } from "./scenarios.ts";

/** A scenario of one of the models, ready to be explored; with a bug, if one is named. */
export interface Explorable {
  name: string;
  /** Whether the bug is one of this model. */
  knows(mutant: Mutant): boolean;
  explore(maxStates: number, mutant?: Mutant): Explored;
}

const CURSOR_MUTANTS: ReadonlySet<Mutant> = new Set([
  "cursor-before-delivery",
  "webhook-settled-first",
  "failure-as-success",
  "append-again",
  "gap-in-silence",
]);
const BREAKER_MUTANTS: ReadonlySet<Mutant> = new Set(["relay-closes-sets", "no-probes"]);
const isOfOutbox = (mutant: Mutant) => !CURSOR_MUTANTS.has(mutant) && !BREAKER_MUTANTS.has(mutant);

const explorable =
  <Scenario extends { name: string }, State>(
    modelOf: (scenario: Scenario, mutant?: Mutant) => Model<State>,
    knows: (mutant: Mutant) => boolean,
  ) =>
  (scenario: Scenario): Explorable => ({
    name: scenario.name,
    knows,
    explore: (maxStates, mutant) => explore(modelOf(scenario, mutant), maxStates),
  });

/** Each is explored to its end: the outbox, the way of events to a service, the circuit breaker. */
export const MODELS: readonly Explorable[] = [
  ...SCENARIOS.map(explorable(protocolOf, isOfOutbox)),
  ...CURSOR_SCENARIOS.map(explorable(cursorsOf, (mutant) => CURSOR_MUTANTS.has(mutant))),
  ...BREAKER_SCENARIOS.map(explorable(breakerOf, (mutant) => BREAKER_MUTANTS.has(mutant))),
];
