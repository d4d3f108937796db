import { coverageOf } from "./plan/coverage.ts";
import type { Failure } from "./messages.ts";
import { type Pair, pairNamed, pairsOf } from "./plan/faults.ts";
import { planFor } from "./plan/schedule.ts";
import { STEPS } from "./plan/steps.ts";
import { type Done, type Shard, startShard } from "./shards.ts";

export interface Asked {
  from: number;
  count: number;
  processes: number;
  mutant: string | undefined;
  /** No schedule is begun later than that, minutes; undefined: all are run. */
  minutes: number | undefined;
  /** Runs further schedules for the pairs that were not reached. */
  pairs: boolean;
  coverage: boolean;
  digests: boolean;
}

/** How many schedules a process runs before the next are given out. */
const CHUNK = 25;
/** How many schedules without any other fault are tried for a pair that was not reached. */
const MOST_TRIES = 12;
/** After so many the run ends: each is shrunk, which takes as long as 60 schedules. */
const MOST_FAILURES = 20;
const PROGRESS_MS = 30_000;

type Say = (text: string) => void;

/** The sum of everything that was run; its size does not depend on how much that was. */
function createTotal() {
  const struck = new Map<string, number>();
  const steps = new Map<string, number>();
  const sum = { schedules: 0, failures: 0, simulatedMs: 0, cpuMs: 0 };
  return {
    ...{ struck, steps, sum },
    add(done: Done): void {
      for (const name of ["schedules", "failures", "simulatedMs", "cpuMs"] as const) sum[name] += done[name];
      for (const [pair, times] of done.struck) struck.set(pair, (struck.get(pair) ?? 0) + times);
      for (const [step, seed] of done.steps) if (!steps.has(step)) steps.set(step, seed);
    },
  };
}
type Total = ReturnType<typeof createTotal>;

/** Runs schedules with seeds in a row, in several processes. Answers whether every one of them holds. */
export async function simulate(asked: Asked, say: Say): Promise<boolean> {
  const began = performance.now();
  const total = createTotal();
  const shards = await Promise.all(
    Array.from({ length: Math.min(asked.processes, Math.ceil(asked.count / CHUNK)) }, () => startShard(asked.mutant)),
  );
  try {
    const next = await runAll(shards, asked, total, say);
    if (asked.pairs) await runPairs(shards, total, say);
    report(total, performance.now() - began, asked.coverage, say);
    const end = asked.from + asked.count;
    if (next < end) say(`stopped before seed ${next}: to continue, --seed ${next} --schedules ${end - next}`);
  } finally {
    await Promise.all(shards.map((shard) => shard.stop()));
  }
  const { failures } = total.sum;
  say(failures === 0 ? "every schedule holds" : `${failures} schedules FAILED`);
  return failures === 0;
}

/** Answers the first seed that was not run. */
async function runAll(shards: readonly Shard[], asked: Asked, total: Total, say: Say): Promise<number> {
  const { from, count, mutant, minutes } = asked;
  const end = from + count;
  const until = minutes === undefined ? Infinity : performance.now() + minutes * 60_000;
  const mostFailures = mutant === undefined ? MOST_FAILURES : 1;
  const digests = new Map<number, string[]>();
  let next = from;
  let saidAt = performance.now();
  const work = async (shard: Shard) => {
    while (next < end && performance.now() < until && total.sum.failures < mostFailures) {
      const first = next;
      const share = Math.min(CHUNK, end - first);
      next += share;
      const range = { from: first, count: share, stopAtFailure: mutant !== undefined, shrink: true };
      const done = await shard.seeds(range, (failure) => showFailure(failure, say));
      total.add(done);
      if (asked.digests) digests.set(first, done.digests);
      if (performance.now() - saidAt < PROGRESS_MS) continue;
      saidAt = performance.now();
      say(`${total.sum.schedules} of ${count} schedules, ${total.sum.failures} failed`);
    }
  };
  await Promise.all(shards.map(work));
  for (const [first, some] of [...digests].toSorted(([a], [b]) => a - b))
    for (const [i, digest] of some.entries()) say(`digest ${first + i} ${digest}`);
  return next;
}

/** Each pair that was not reached gets schedules of its own, with no other fault. */
async function runPairs(shards: readonly Shard[], total: Total, say: Say): Promise<void> {
  const missing = pairsOf(planned()).filter((pair) => !total.struck.has(pairNamed(pair)));
  const waiting = [...missing];
  const work = async (shard: Shard) => {
    for (let pair = waiting.shift(); pair !== undefined; pair = waiting.shift()) await tryPair(shard, pair, total, say);
  };
  await Promise.all(shards.map(work));
  const left = missing.filter((pair) => !total.struck.has(pairNamed(pair))).length;
  say(`${missing.length} pairs were not reached by them; ${missing.length - left} of these by schedules of their own`);
}

async function tryPair(shard: Shard, pair: Pair, total: Total, say: Say): Promise<void> {
  for (let attempt = 0; attempt < MOST_TRIES && !total.struck.has(pairNamed(pair)); attempt += 1) {
    const schedule = planFor(pair, attempt);
    const done = await shard.schedule({ schedule, lines: false }, () => undefined);
    total.add(done);
    if (done.failures > 0) showFailure({ seed: schedule.seed, violations: done.violations, schedule }, say);
  }
}

export function showFailure({ seed, violations, schedule }: Failure, say: Say): void {
  say(`FAILED  seed ${seed}`);
  for (const violation of violations.slice(0, 10)) say(`  ${violation}`);
  say(`  the smallest schedule found that fails, for --replay:\n${JSON.stringify(schedule)}`);
}

const planned = () => Object.keys({ ...STEPS.calm, ...STEPS.rare });

function report({ sum, struck, steps }: Total, ms: number, listsMissed: boolean, say: Say): void {
  const known = planned();
  const unknown = [...steps].filter(([step]) => !known.includes(step));
  const { reached, missed } = coverageOf([...known, ...unknown.map(([step]) => step)], struck);
  const perMinute = Math.round((60_000 * sum.schedules) / ms);
  const faults = [...struck.values()].reduce((all, n) => all + n, 0);
  say(
    `${sum.schedules} schedules in ${(ms / 1000).toFixed(0)} s (${perMinute}/min, ${Math.round(sum.cpuMs / sum.schedules)} ms of CPU each), ${(sum.simulatedMs / 3_600_000).toFixed(1)} simulated hours, ${faults} faults`,
  );
  say(`${reached.length} of ${reached.length + missed.length} pairs of a step and a fault were reached`);
  for (const [step, seed] of unknown) say(`the step ${step} is new (seed ${seed}): --survey adds it to steps.json`);
  if (listsMissed) for (const pair of missed) say(`  not reached: ${pair}`);
}
