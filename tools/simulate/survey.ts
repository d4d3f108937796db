import type { RedisServer } from "./world/redis-server.ts";
import { type Ran, runSchedule } from "./run.ts";
import { calmSchedule, planSchedule } from "./plan/schedule.ts";
import { type Seen, type Steps, STEPS } from "./plan/steps.ts";

const CALM = 40;
/** How many runs are kept for a step which not every run takes. */
const KEPT = 6;

const byName = <T>(entries: [string, T][]): Record<string, T> =>
  Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));

/** Runs schedules without faults, and then some with, to see which steps there are; what was known is kept where it still holds. */
export async function survey(server: RedisServer, { from, count }: { from: number; count: number }): Promise<Steps> {
  const calm = new Map<string, { counts: number[]; seen: Seen[] }>();
  for (let seed = 1; seed <= CALM; seed += 1) {
    const { steps } = await runSchedule(calmSchedule(seed), server);
    for (const [step, times] of steps) {
      const known = calm.get(step) ?? { counts: [], seen: [] };
      calm.set(step, known);
      known.counts.push(times);
      known.seen.push({ seed, times });
    }
  }
  const rare = new Map<string, Seen[]>();
  const known = Object.values(STEPS.rare).flat();
  const drawn = Array.from({ length: count }, (_, i) => planSchedule(from + i));
  for (const { seed, faults = [] } of [...known, ...drawn]) {
    if (faults.length === 0) continue;
    const { steps }: Ran = await runSchedule({ ...calmSchedule(seed), faults }, server);
    for (const [step, times] of steps) {
      const kept = rare.get(step) ?? [];
      if (calm.has(step) || kept.length >= KEPT) continue;
      rare.set(step, [...kept, { seed, faults, times }]);
    }
  }
  return {
    calm: byName(
      [...calm].map(([step, { counts, seen }]) => {
        const least = counts.length < CALM ? 0 : Math.min(...counts);
        return [step, { least, most: Math.max(...counts), ...(least === 0 && { seen: seen.slice(0, KEPT) }) }];
      }),
    ),
    rare: byName([...rare]),
  };
}
