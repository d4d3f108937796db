import type { FromShard, ToShard } from "./messages.ts";
import { startRedisServer } from "./world/redis-server.ts";
import { type Ran, runSchedule } from "./run.ts";
import { planSchedule, type Schedule, seedsOf } from "./plan/schedule.ts";
import { shrink } from "./plan/shrink.ts";
import { survey } from "./survey.ts";

const kindOf = (violation: string) => violation.slice(0, violation.indexOf(":"));

export async function openRunner(send: (message: FromShard) => void) {
  const server = await startRedisServer();
  let cpuBefore = 0;

  /** Since the last call. */
  async function cpuSince(): Promise<number> {
    const { user, system } = process.cpuUsage();
    const all = (user + system) / 1000 + (await server.cpuMs());
    const since = all - cpuBefore;
    cpuBefore = all;
    return since;
  }
  async function smaller(schedule: Schedule, ran: Ran): Promise<Schedule> {
    const kinds = new Set(ran.violations.map(kindOf));
    return await shrink(schedule, async (one) =>
      (await runSchedule(one, server)).violations.some((violation) => kinds.has(kindOf(violation))),
    );
  }

  async function runSeeds(asked: Extract<ToShard, { what: "seeds" }>) {
    const { from, count, near, stopAtFailure, shrink: shrinks } = asked;
    const sum = summary();
    for (const seed of seedsOf(from, count, near)) {
      const schedule = planSchedule(seed);
      const ran = await runSchedule(schedule, server);
      sum.add(ran, seed);
      if (ran.violations.length === 0) continue;
      const shown = shrinks ? await smaller(schedule, ran) : schedule;
      send({ what: "failure", failure: { seed, violations: ran.violations, schedule: shown } });
      if (stopAtFailure) break;
    }
    send(sum.done(await cpuSince()));
  }

  return {
    async take(message: ToShard): Promise<void> {
      if (message.what === "seeds") return await runSeeds(message);
      if (message.what === "survey") return send({ what: "surveyed", steps: await survey(server, message) });
      const sum = summary();
      const onLine = message.lines ? (line: string) => send({ what: "line", line }) : undefined;
      sum.add(await runSchedule(message.schedule, server, onLine), message.schedule.seed);
      send(sum.done(await cpuSince()));
    },
    stop: () => server.stop(),
  };
}

function summary() {
  const steps = new Map<string, number>();
  const struck = new Map<string, number>();
  const digests: string[] = [];
  const violations: string[] = [];
  let [failures, simulatedMs] = [0, 0];
  return {
    add(ran: Ran, seed: number): void {
      for (const step of ran.steps.keys()) if (!steps.has(step)) steps.set(step, seed);
      for (const [pair, times] of ran.struck) struck.set(pair, (struck.get(pair) ?? 0) + times);
      digests.push(ran.digest);
      violations.push(...ran.violations);
      if (ran.violations.length > 0) failures += 1;
      simulatedMs += ran.simulatedMs;
    },
    done: (cpuMs: number): FromShard => ({
      ...{ what: "done", schedules: digests.length, failures, violations, digests, simulatedMs, cpuMs },
      ...{ steps: [...steps], struck: [...struck] },
    }),
  };
}
