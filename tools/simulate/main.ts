import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { coverageOf } from "./plan/coverage.ts";
import type { Failure } from "./messages.ts";
import { MUTANTS } from "./mutants.ts";
import type { Schedule } from "./plan/schedule.ts";
import { startShard } from "./shards.ts";
import { STEPS, STEPS_FILE } from "./plan/steps.ts";

const HELP = `npm run simulate -- [options]   runs the bridge's own code under a scheduler that owns time, chance and every fault

  --schedules N     how many schedules, 1000 if not given
  --seed S          the seed of the first one, 1 if not given; the next ones are S + 1, S + 2, ...
  --processes N     how many run at once, 2 if not given
  --digests         shows a digest of each run: the same for the same run
  --coverage        lists every step and fault that did not meet
  --replay FILE     runs the schedule of that file, as a failure prints it, and shows every step; - for standard input
  --survey          finds out which steps there are, for the planning of schedules, and adds them to steps.json
  --mutant NAME     seeds this bug into the code first, and stops at the first schedule that reveals it
  --mutants         seeds one bug after the other into the code, and shows the schedule that reveals it

The same seed gives the same run, byte for byte. Exit code 1 if anything is wrong, or a seeded bug is not found.
`;
const PROCESSES = 2;
/** How many schedules with faults show which steps there are. */
const SURVEYED = 400;
/** How many schedules a seeded bug may survive. */
const MUTANT_SCHEDULES = 600;

const say = (text: string) => void process.stdout.write(`${text}\n`);

function show({ seed, violations, schedule }: Failure): void {
  say(`FAILED  seed ${seed}`);
  for (const violation of violations.slice(0, 10)) say(`  ${violation}`);
  say(`  the smallest schedule found that fails, for --replay:\n${JSON.stringify(schedule)}`);
}

interface Show {
  coverage: boolean;
  digests: boolean;
}

interface Asked {
  from: number;
  count: number;
  processes: number;
  mutant: string | undefined;
}

async function simulate({ from, count, processes, mutant }: Asked, shown: Show): Promise<boolean> {
  const began = performance.now();
  const size = Math.ceil(count / processes);
  const shares = Array.from(
    { length: processes },
    (_, i) => [from + i * size, Math.min(size, count - i * size)] as const,
  );
  const results = await Promise.all(
    shares
      .filter(([, share]) => share > 0)
      .map(async ([first, share]) => {
        const shard = await startShard(mutant);
        try {
          const stopAtFailure = mutant !== undefined;
          return await shard.seeds({ from: first, count: share, stopAtFailure, shrink: true }, show);
        } finally {
          await shard.stop();
        }
      }),
  );
  const seconds = (performance.now() - began) / 1000;
  const struck = new Map<string, number>();
  for (const result of results)
    for (const [pair, times] of result.struck) struck.set(pair, (struck.get(pair) ?? 0) + times);
  const taken = results.flatMap(({ steps }) => steps);
  const planned = Object.keys({ ...STEPS.calm, ...STEPS.rare });
  const unknown = new Map(taken.filter(([step]) => !planned.includes(step)));
  const { reached, missed } = coverageOf([...planned, ...unknown.keys()], struck);
  const failures = results.reduce((sum, { failures: n }) => sum + n, 0);
  const hours = results.reduce((sum, { simulatedMs }) => sum + simulatedMs, 0) / 3_600_000;
  const faults = [...struck.values()].reduce((sum, n) => sum + n, 0);
  say(
    `${count} schedules in ${seconds.toFixed(0)} s (${Math.round((60 * count) / seconds)}/min), ${hours.toFixed(1)} simulated hours, ${faults} faults`,
  );
  say(`${reached.length} of ${reached.length + missed.length} pairs of a step and a fault were reached`);
  for (const [step, seed] of unknown) say(`the step ${step} is new (seed ${seed}): --survey adds it to steps.json`);
  if (shown.digests)
    for (const [i, digest] of results.flatMap(({ digests }) => digests).entries()) say(`digest ${from + i} ${digest}`);
  if (shown.coverage) for (const pair of missed) say(`  not reached: ${pair}`);
  say(failures === 0 ? "every schedule holds" : `${failures} schedules FAILED`);
  return failures === 0;
}

async function replay(file: string, mutant: string | undefined): Promise<boolean> {
  const schedule = JSON.parse(readFileSync(file === "-" ? 0 : file, "utf8")) as Schedule;
  const shard = await startShard(mutant);
  try {
    const { violations, digests } = await shard.schedule({ schedule, lines: true }, say);
    for (const violation of violations) say(`FAILED  ${violation}`);
    say(`${violations.length === 0 ? "holds" : "FAILED"}, digest ${digests[0]}`);
    return violations.length === 0;
  } finally {
    await shard.stop();
  }
}

async function survey(from: number, count: number): Promise<boolean> {
  const shard = await startShard();
  try {
    const steps = await shard.survey({ from, count });
    writeFileSync(STEPS_FILE, `${JSON.stringify(steps, undefined, 2)}\n`);
    say(`${Object.keys(steps.calm).length} steps without a fault, ${Object.keys(steps.rare).length} more with faults`);
    return true;
  } finally {
    await shard.stop();
  }
}

async function killOne(name: string): Promise<boolean> {
  const shard = await startShard(name);
  const found: Failure[] = [];
  try {
    await shard.seeds({ from: 1, count: MUTANT_SCHEDULES, stopAtFailure: true, shrink: true }, (failure) =>
      found.push(failure),
    );
  } finally {
    await shard.stop();
  }
  const [failure] = found;
  say(`${failure ? "found   " : "SURVIVES"}  ${name}: ${MUTANTS[name]?.what}`);
  if (!failure) return false;
  say(`  seed ${failure.seed}: ${failure.violations[0]}`);
  say(`  ${JSON.stringify({ ...failure.schedule, commands: failure.schedule.commands.length })}`);
  return true;
}

async function killAll(names: readonly string[], processes: number): Promise<boolean> {
  const waiting = [...names];
  let survivors = 0;
  const work = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
      if (!(await killOne(name))) survivors += 1;
  };
  await Promise.all(Array.from({ length: processes }, work));
  say(`${names.length - survivors} found, ${survivors} survive`);
  return survivors === 0;
}

const number = (text: string | undefined, otherwise: number) => Math.max(1, Number(text ?? otherwise) || otherwise);

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...({ schedules: { type: "string" }, seed: { type: "string" }, processes: { type: "string" } } as const),
      ...({ replay: { type: "string" }, coverage: { type: "boolean" }, digests: { type: "boolean" } } as const),
      ...({
        mutants: { type: "boolean" },
        mutant: { type: "string" },
        survey: { type: "boolean" },
        help: { type: "boolean" },
      } as const),
    },
  });
  const processes = number(values.processes, PROCESSES);
  const [from, count] = [number(values.seed, 1), number(values.schedules, 1000)];
  const asked = { from, count, processes, mutant: values.mutant };
  if (values.help) process.stdout.write(HELP);
  else {
    const good =
      values.replay !== undefined
        ? await replay(values.replay, values.mutant)
        : values.survey
          ? await survey(number(values.seed, 1001), number(values.schedules, SURVEYED))
          : values.mutants
            ? await killAll(positionals.length > 0 ? positionals : Object.keys(MUTANTS), processes)
            : await simulate(asked, {
                coverage: values.coverage ?? false,
                digests: values.digests ?? false,
              });
    process.exitCode = good ? 0 : 1;
  }
}
