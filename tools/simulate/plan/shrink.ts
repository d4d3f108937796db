import type { Schedule } from "./schedule.ts";

/** How many runs making a schedule smaller may take. */
const MOST_RUNS = 60;

/** A smaller schedule that fails as well: of its faults, commands and events, ever smaller parts are taken out, as long as it fails. */
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
    for (let size = best[part].length; size >= 1; size = Math.floor(size / 2)) {
      for (let from = best[part].length - size; from >= 0; from -= size) {
        const without = best[part].filter((_, at) => at < from || at >= from + size);
        any = (await tryOne({ ...best, [part]: without })) || any;
      }
    }
    return any;
  }

  for (let again = true; again;)
    again = (await takeOut("events")) || (await takeOut("commands")) || (await takeOut("faults"));
  if (best.workers === 2) await tryOne({ ...best, workers: 1 });
  if ((best.services ?? 0) > 0) await tryOne({ ...best, services: 0 });
  return best;
}
