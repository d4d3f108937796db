import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { killAll } from "./kill.ts";
import { MUTANTS } from "./mutants.ts";
import type { Schedule } from "./plan/schedule.ts";
import { STEPS_FILE } from "./plan/steps.ts";
import { simulate } from "./range.ts";
import { startShard } from "./shards.ts";

const HELP = `npm run simulate -- [options]   runs the bridge's own code under a scheduler that owns time, chance and every fault

  --schedules N     how many schedules, 1000 if not given
  --seed S          the seed of the first one, 1 if not given; the next ones are S + 1, S + 2, ...
  --processes N     how many run at once, 2 if not given
  --digests         shows a digest of each run: the same for the same run
  --minutes M       begins no schedule after so many minutes, and says with which seed to continue
  --pairs           runs further schedules for every step and fault that did not meet in these
  --coverage        lists every step and fault that did not meet
  --replay FILE     runs the schedule of that file, as a failure prints it, and shows every step; - for standard input
  --survey          finds out which steps there are, for the planning of schedules, and adds them to steps.json
  --mutant NAME     seeds this bug into the code first, and stops at the first schedule that reveals it
  --mutants [NAME]  seeds one bug after the other into the code, or these alone, and shows the schedule that reveals it:
                    the recorded one of kills.json, or else one that is searched for
  --record          adds what was searched and found to kills.json

The same seed gives the same run, byte for byte. Exit code 1 if anything is wrong, or a seeded bug is not found.
`;
const PROCESSES = 2;
/** How many schedules with faults show which steps there are. */
const SURVEYED = 400;

const say = (text: string) => void process.stdout.write(`${text}\n`);

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

const number = (text: string | undefined, otherwise: number) => Math.max(1, Number(text ?? otherwise) || otherwise);

const OPTIONS = {
  schedules: { type: "string" },
  seed: { type: "string" },
  processes: { type: "string" },
  minutes: { type: "string" },
  pairs: { type: "boolean", default: false },
  coverage: { type: "boolean", default: false },
  digests: { type: "boolean", default: false },
  replay: { type: "string" },
  survey: { type: "boolean" },
  mutant: { type: "string" },
  mutants: { type: "boolean" },
  record: { type: "boolean", default: false },
  help: { type: "boolean" },
} as const;

/** Does what the arguments ask for; answers whether nothing is wrong. */
async function run(): Promise<boolean> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: OPTIONS });
  const { mutant, pairs, coverage, digests, record } = values;
  const processes = number(values.processes, PROCESSES);
  if (values.help) say(HELP);
  else if (values.replay !== undefined) return await replay(values.replay, mutant);
  else if (values.survey) return await survey(number(values.seed, 1001), number(values.schedules, SURVEYED));
  else if (values.mutants) {
    const names = positionals.length > 0 ? positionals : Object.keys(MUTANTS);
    return await killAll(names, { processes, record, say });
  } else {
    const minutes = values.minutes === undefined ? undefined : number(values.minutes, 1);
    const [from, count] = [number(values.seed, 1), number(values.schedules, 1000)];
    return await simulate({ from, count, processes, mutant, minutes, pairs, coverage, digests }, say);
  }
  return true;
}

if (import.meta.main) process.exitCode = (await run()) ? 0 : 1;
