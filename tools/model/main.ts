import { parseArgs } from "node:util";
import { type Explored, TooManyStates } from "./explore.ts";
import { type Explorable, MODELS } from "./models.ts";
import { type Mutant, MUTANTS } from "./mutants.ts";

const HELP = `npm run model               explores every state of every scenario and checks the invariants in each
npm run model -- --mutants  seeds one bug at a time and shows the shortest run that reveals it

protocol.ts is the ordered outbox: append, emit job, claim, emit, settle, sweep, lease. cursors.ts is the way of an event to a service:
journal, handler, cursors, webhook. breaker.ts is the circuit breaker, around the worker's own functions.
"recovery" is how many steps without a fault lead from any state to the end, at most.
Exit code 1 if a rule is broken, or a seeded bug is not found.
`;
/** An exploration that needs more memory than this many states take, some 2 GB, is a mistake. */
const MAX_STATES = 3_000_000;

const show = ({ states, steps, depth, recovery }: Explored) =>
  `${states} states, ${steps} steps, depth ${depth}, recovery ${recovery}`;
const traceOf = (trace: readonly string[]) => trace.map((line, i) => `    ${i + 1}. ${line}\n`).join("");

function checkAll(): boolean {
  let good = true;
  for (const scenario of MODELS) {
    const from = performance.now();
    const explored = scenario.explore(MAX_STATES);
    const seconds = ((performance.now() - from) / 1000).toFixed(1);
    const { counterexample } = explored;
    process.stdout.write(
      `${counterexample ? "BROKEN" : "holds "}  ${scenario.name}: ${show(explored)}, ${seconds} s\n`,
    );
    if (!counterexample) continue;
    good = false;
    process.stdout.write(`  ${counterexample.broken}\n${traceOf(counterexample.trace)}`);
  }
  return good;
}

/** A bug is looked for in every scenario a little before any of them is explored to its end, states: most show early. */
const BOUNDS = [3000, 30_000, MAX_STATES];

/** Undefined if the exploration did not end within so many states. */
function within(bound: number, scenario: Explorable, mutant: Mutant): Explored | undefined {
  try {
    return scenario.explore(bound, mutant);
  } catch (error) {
    if (error instanceof TooManyStates && bound < MAX_STATES) return undefined;
    throw error;
  }
}

/** The scenario and the shortest run that reveal a seeded bug; undefined if none does. */
export function killerOf(mutant: Mutant): { scenario: string; explored: Explored } | undefined {
  for (const bound of BOUNDS) {
    for (const scenario of MODELS.filter((each) => each.knows(mutant))) {
      const explored = within(bound, scenario, mutant);
      if (explored?.counterexample) return { scenario: scenario.name, explored };
    }
  }
  return undefined;
}

function killAll(): boolean {
  let survivors = 0;
  for (const mutant of Object.keys(MUTANTS) as Mutant[]) {
    const killer = killerOf(mutant);
    process.stdout.write(`${killer ? "found   " : "SURVIVES"}  ${mutant}: ${MUTANTS[mutant]}\n`);
    if (!killer) survivors += 1;
    else
      process.stdout.write(
        `  ${killer.explored.counterexample?.broken}, in "${killer.scenario}":\n${traceOf(killer.explored.counterexample?.trace ?? [])}`,
      );
  }
  process.stdout.write(`${Object.keys(MUTANTS).length - survivors} found, ${survivors} survive\n`);
  return survivors === 0;
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { mutants: { type: "boolean" }, help: { type: "boolean" } } });
  if (values.help) process.stdout.write(HELP);
  else process.exitCode = (values.mutants ? killAll() : checkAll()) ? 0 : 1;
}
