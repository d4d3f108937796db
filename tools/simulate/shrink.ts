import type { Schedule } from "./schedule.ts";

/** How many runs making a schedule smaller may take. */
const MOST_RUNS = 200;

/**
 * A smaller schedule that fails as well: faults and commands are taken out one after the other, for as long as that leaves a
 * failure.
 */
export async function shrink(schedule: Schedule, fails: (schedule: Schedule) => Promise<boolean>): Promise<Schedule> {
  let best = schedule;
  let runs = 0;

  async function tryOne(smaller: Schedule): Promise<boolean> {
    if (runs >= MOST_RUNS) return false;
    runs += 1;
    if (!(await fails(smaller))) return false;
    best = smaller;
    return true;
  }
  async function takeOut(part: "faults" | "commands" | "events"): Promise<boolean> {
    let any = false;
    for (let i = best[part].length - 1; i >= 0; i -= 1)
      any = (await tryOne({ ...best, [part]: best[part].filter((_, at) => at !== i) })) || any;
    return any;
  }

  for (let again = true; again;)
    again = (await takeOut("faults")) || (await takeOut("commands")) || (await takeOut("events"));
  if (best.workers === 2) await tryOne({ ...best, workers: 1 });
  return best;
}
