import type { FromShard, ToShard } from "./messages.ts";
import { type RedisServer, startRedisServer } from "./redis-server.ts";
import { type Ran, runSchedule } from "./run.ts";
import { calmSchedule, planSchedule, type Schedule } from "./schedule.ts";
import { shrink } from "./shrink.ts";

/** How many runs without faults show which steps there are. */
const SURVEYED = 8;

/** The steps that runs without faults take, and how often one of them took each at most. */
async function survey(server: RedisServer): Promise<Map<string, number>> {
  const steps = new Map<string, number>();
  for (let seed = 1; seed <= SURVEYED; seed += 1)
    for (const [step, times] of (await runSchedule(calmSchedule(seed), server)).steps)
      steps.set(step, Math.max(times, steps.get(step) ?? 0));
  return steps;
}

const kindOf = (violation: string) => violation.slice(0, violation.indexOf(":"));

export async function openRunner(tell: (message: FromShard) => void) {
  const server = await startRedisServer();
  let surveyed: Map<string, number> | undefined;

  async function smaller(schedule: Schedule, ran: Ran): Promise<Schedule> {
    const kinds = new Set(ran.violations.map(kindOf));
    return await shrink(schedule, async (one) =>
      (await runSchedule(one, server)).violations.some((violation) => kinds.has(kindOf(violation))),
    );
  }

  async function runSeeds({ from, count, stopAtFailure, shrink: shrinks }: Extract<ToShard, { what: "seeds" }>) {
    surveyed ??= await survey(server);
    const sum = summary(surveyed.keys());
    for (let seed = from; seed < from + count; seed += 1) {
      const schedule = planSchedule(seed, surveyed);
      const ran = await runSchedule(schedule, server);
      sum.add(ran);
      if (ran.violations.length === 0) continue;
      const shown = shrinks ? await smaller(schedule, ran) : schedule;
      tell({ what: "failure", failure: { seed, violations: ran.violations, schedule: shown } });
      if (stopAtFailure) break;
    }
    tell(sum.done());
  }

  return {
    async take(message: ToShard): Promise<void> {
      if (message.what === "seeds") return await runSeeds(message);
      const sum = summary([]);
      const onLine = message.lines ? (line: string) => tell({ what: "line", line }) : undefined;
      sum.add(await runSchedule(message.schedule, server, onLine));
      tell(sum.done());
    },
    stop: () => server.stop(),
  };
}

function summary(known: Iterable<string>) {
  const steps = new Set(known);
  const struck = new Map<string, number>();
  const digests: string[] = [];
  const violations: string[] = [];
  let [failures, simulatedMs] = [0, 0];
  return {
    add(ran: Ran): void {
      for (const step of ran.steps.keys()) steps.add(step);
      for (const [pair, times] of ran.struck) struck.set(pair, (struck.get(pair) ?? 0) + times);
      digests.push(ran.digest);
      violations.push(...ran.violations);
      if (ran.violations.length > 0) failures += 1;
      simulatedMs += ran.simulatedMs;
    },
    done: (): FromShard => ({
      ...{ what: "done", schedules: digests.length, failures, violations, digests, simulatedMs },
      ...{ steps: [...steps], struck: [...struck] },
    }),
  };
}
