import { BenchError } from "../measure/bench-error.ts";
import type { Plan } from "../measure/plan.ts";
import { until } from "../measure/poll.ts";
import type { Part, ResultLine } from "../measure/table.ts";
import { startBenchCad } from "../rig/bench-cad.ts";
import type { Rig } from "../rig/rig.ts";
import { type Memory, startWaiting } from "../rig/waiting.ts";

/** MiB more than with an empty backlog. */
const GOAL_MEMORY = { atMost: 30 };
/** Of the rate at the short backlog. */
const GOAL_RATE = { atLeast: 0.9 };
const SETTLED_WITHIN_MS = 120_000;
/** Settled before the rate is measured: V8 has optimized the code by then. */
const WARM = 8000;
/** The rate is that of so many commands. */
const MEASURED = 10_000;

interface Seen extends Memory {
  backlog: number;
  /** Commands/s; undefined without a backlog. */
  perSecond: number | undefined;
  /** What Redis uses, MiB. */
  redis: number;
}

/** The worker's memory, and how fast it delivers, with nothing, a short and a very long backlog waiting. */
export async function measureBacklog(rig: Rig, plan: Plan["backlog"], say: (line: string) => void): Promise<Part> {
  const seen: Seen[] = [];
  for (const backlog of [0, plan.short, plan.long]) {
    say(`a backlog of ${backlog.toLocaleString("en-US")}`);
    seen.push(await observe(rig, backlog, plan.settleMs));
  }
  await rig.empty();
  return { tables: [{ title: "A long backlog", lines: lines(seen) }], numbers: { seen } };
}

function lines(seen: readonly Seen[]): ResultLine[] {
  const [none, short, long] = seen;
  const ratio = long?.perSecond && short?.perSecond ? long.perSecond / short.perSecond : undefined;
  return [
    ...seen.flatMap(({ backlog, resident, live, perSecond, redis }): ResultLine[] => [
      {
        what: `${backlog.toLocaleString("en-US")} commands wait: the worker`,
        measured: resident,
        unit: "MiB",
        note: `live heap ${live.toFixed(1)} MiB; Redis ${redis.toFixed(0)} MiB`,
      },
      ...(perSecond === undefined ? [] : [{ what: "  delivered", measured: perSecond, unit: "/s" }]),
    ]),
    {
      what: "live heap with the long backlog, more than with none",
      measured: long && none && long.live - none.live,
      unit: "MiB",
      goal: GOAL_MEMORY,
    },
    { what: "rate with the long backlog, of that with the short one", measured: ratio, unit: "", goal: GOAL_RATE },
  ];
}

async function observe(rig: Rig, backlog: number, settleMs: number): Promise<Seen> {
  const { worker, port, memory } = await startWaiting(rig, backlog, settleMs);
  const redis = Number(/^used_memory:(\d+)/m.exec(await rig.client.info("memory"))?.[1]) / 2 ** 20;
  const perSecond = backlog === 0 ? undefined : await rateOf(rig, backlog, port);
  await worker.stop();
  return { backlog, ...memory, perSecond, redis };
}

/** Commands/s from the start of the CAD on, once the worker is warm; the rest of the backlog stays. */
async function rateOf(rig: Rig, backlog: number, port: number): Promise<number> {
  const cad = await startBenchCad(rig, "modern", port);
  try {
    let settled = 0;
    const isSettled = (count: number) => async () =>
      (settled = backlog - (await rig.backlog()).unsettled) >= Math.min(count, backlog);
    await until("the worker is warm", isSettled(WARM), SETTLED_WITHIN_MS, 20);
    const [from, began] = [settled, performance.now()];
    await until("the commands are settled", isSettled(from + MEASURED), SETTLED_WITHIN_MS, 20);
    const rate = (settled - from) / ((performance.now() - began) / 1000);
    const { violations } = await cad.arrivals();
    if (violations > 0) throw new BenchError(`${violations} commands came to the CAD out of order`);
    return rate;
  } finally {
    await cad.stop();
  }
}
