import { until } from "./poll.ts";

/** Of a backlog that is drained, this part warms the worker up: V8 has optimized the code by then. */
const WARM_PART = 0.4;

/** Waits until enough of a backlog of so many commands is settled; answers how many are left. */
export async function untilWarm(unsettled: () => Promise<number>, commands: number, withinMs: number): Promise<number> {
  let left = commands;
  await until("the worker is warm", async () => (left = await unsettled()) < commands * (1 - WARM_PART), withinMs, 20);
  return left;
}
