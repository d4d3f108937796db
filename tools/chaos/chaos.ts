import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { readArgs, runCli, UsageError, wholeNumber } from "../support/cli.ts";
import { findRedis } from "../setup/redis-binary.ts";
import { renderDocs } from "./docs.ts";
import { FAULTS, type Fault } from "./faults/faults.ts";
import { renderEventMatrix, renderMatrix, renderRemarks } from "./matrix.ts";
import { type FaultRun, runFault } from "./run-fault.ts";
import { anySeed, createSchedule, faultsFor, type Plan } from "./faults/schedule.ts";

const ROOT = join(import.meta.dirname, "../..");
const RUN = join(ROOT, ".run");
const DOCS = join(ROOT, "docs/faults.md");
const MINUTES = 4;
const SHORT_SEED = 1;
/** Bridges run in parallel: most of the time they wait, so one processor has room for several. */
const LANES = 4;
const SHORT_LANES = 2;
/** Time for the remaining runs to end after the planned time, ms. */
const OVERTIME_MS = 4 * 60_000;

const USAGE = `npm run chaos [-- OPTIONS]

Injects faults into a bridge of real processes under load, and compares what was accepted with what the CAD received. Prints
a matrix; fails if anything was lost, reordered, left over, or too slow to recover.

  --minutes N   approximate duration: every fault once, then again with other seeds (minimum and default: ${MINUTES})
  --seed N      repeats a run
  --only FAULT  runs one fault, by its name or the beginning of it; may be given several times
  --short       runs the most important faults in under a minute, with a fixed seed: for CI
  --list        lists the faults
  --help        prints this help

A full run writes docs/faults.md. The files of a failed run are kept in .run/chaos-*/.
`;

async function main(): Promise<number> {
  const config = {
    options: {
      minutes: { type: "string" },
      seed: { type: "string" },
      only: { type: "string", multiple: true },
      short: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  } as const;
  const { values } = readArgs(config, "chaos", process.env);
  if (values.help) return print(USAGE);
  if (values.list) return print(FAULTS.map(({ name, what }) => `${name.padEnd(40)} ${what}`).join("\n"));
  const plan = planFor(values);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));
  setTimeout(
    () => {
      console.error(`The run did not end within ${OVERTIME_MS / 60_000} minutes after the planned time.`);
      process.exit(1);
    },
    plan.minutes * 60_000 + OVERTIME_MS,
  ).unref();

  const { version } = await findRedis(console.log);
  mkdirSync(RUN, { recursive: true });
  const dir = mkdtempSync(join(RUN, "chaos-"));
  process.on("exit", (code) => code === 1 || rmSync(dir, { recursive: true, force: true }));

  console.log(`seed ${plan.seed}; Node ${process.versions.node}, Redis ${version}`);
  const runs = await runAll(plan, dir, values.short ? SHORT_LANES : LANES);
  console.log(`\n${renderMatrix(plan.faults, runs)}\n\n${renderEventMatrix(plan.faults, runs)}\n`);
  for (const remark of renderRemarks(runs)) console.log(remark);
  const failed = runs.filter(({ failures }) => failures.length > 0);
  for (const { fault, seed, failures } of failed) {
    console.log(
      `\nFAILED: ${fault.name}, seed ${seed}. Repeat with: npm run chaos -- --only "${fault.name}" --seed ${seed}`,
    );
    for (const failure of failures) console.log(`  ${failure}`);
    console.log(`  See evidence.json and the logs in ${relative(ROOT, dirOf(dir, fault, seed))}`);
  }
  const full = !values.short && values.only === undefined;
  if (full) {
    mkdirSync(join(ROOT, "docs"), { recursive: true });
    writeFileSync(DOCS, renderDocs(plan.faults, runs, { seed: plan.seed, minutes: plan.minutes, redis: version }));
  }
  console.log(
    `\n${runs.length - failed.length} of ${runs.length} runs passed${full ? "; docs/faults.md is written" : ""}`,
  );
  return failed.length > 0 ? 1 : 0;
}

function print(text: string): number {
  console.log(text);
  return 0;
}

interface Asked {
  minutes?: string;
  seed?: string;
  only?: string[];
  short: boolean;
}

function planFor({ minutes: asked, seed, only, short }: Asked): Plan {
  if (short && only !== undefined) throw new UsageError("--short and --only exclude each other.");
  const minutes = asked === undefined ? MINUTES : wholeNumber("minutes", asked, MINUTES, 24 * 60);
  const chosen = seed === undefined ? undefined : wholeNumber("seed", seed, 0, 2 ** 31);
  const plan = { minutes, seed: chosen ?? (short ? SHORT_SEED : anySeed(Math.random)) };
  if (short) return { ...plan, faults: FAULTS.filter((fault) => fault.short), repeat: false };
  if (only === undefined) return { ...plan, faults: faultsFor(minutes), repeat: asked !== undefined };
  return { ...plan, faults: [...new Set(only.flatMap(faultsCalled))], repeat: asked !== undefined };
}

function faultsCalled(asked: string): Fault[] {
  const exact = FAULTS.filter(({ name }) => name === asked);
  const faults = exact.length > 0 ? exact : FAULTS.filter(({ name }) => name.startsWith(asked));
  if (faults.length === 0) throw new UsageError(`No fault is called "${asked}": see --list.`);
  return faults;
}

const dirOf = (dir: string, fault: Fault, seed: number) =>
  join(dir, `${fault.name.replaceAll(/[^\w-]+/g, "-")}-${seed}`);

/** Runs `lanes` faults in parallel until the schedule is exhausted. */
async function runAll(plan: Plan, dir: string, lanes: number): Promise<FaultRun[]> {
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const next = createSchedule(plan, () => plan.minutes * 60 - elapsed());
  const runs: FaultRun[] = [];
  const say = (line: string) => console.log(`${elapsed().toFixed(0).padStart(4)} s  ${line}`);

  async function lane(): Promise<void> {
    for (let run = next(); run; run = next()) {
      const { fault, seed } = run;
      say(`begins  ${fault.name}`);
      const place = dirOf(dir, fault, seed);
      const done = await runFault(fault, seed, place);
      runs.push(done);
      const { accepted, delivered } = done.verdict;
      const recovered =
        done.recoveredMs === undefined ? "" : `, recovered in ${(done.recoveredMs / 1000).toFixed(2)} s`;
      const word = done.failures.length === 0 ? "passed" : "FAILED";
      say(`${word}  ${fault.name}: ${accepted} accepted, ${delivered} delivered${recovered}`);
      for (const ending of done.endings) say(`        exited and was restarted: ${ending}`);
      for (const failure of done.failures) say(`        ${failure}`);
      if (done.failures.length === 0) rmSync(place, { recursive: true, force: true });
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane));
  return runs;
}

await runCli(main);
