import { startBenchCad } from "../rig/bench-cad.ts";
import { checkDelivered } from "../rig/delivered.ts";
import { liveHeapMiB } from "../rig/live-heap.ts";
import type { Plan } from "../measure/plan.ts";
import { until } from "../measure/poll.ts";
import type { Rig } from "../rig/rig.ts";
import { type Memory, startWaiting } from "../rig/waiting.ts";
import type { ResultLine, Part } from "../measure/table.ts";
import { residentMiB } from "../measure/usage.ts";

const GOAL = { atMost: 30 };
const DRAINED_WITHIN_MS = 90_000;
const SAMPLE_EVERY_MS = 500;

interface Seen {
  backlog: number;
  waiting: Memory;
  /** The maximum of each while draining. */
  draining: Memory;
}

/** The worker's memory while commands wait for a CAD that is down, and while they are delivered once it is back. */
export async function measureMemory(rig: Rig, plan: Plan["memory"], say: (line: string) => void): Promise<Part> {
  const seen: Seen[] = [];
  for (const backlog of plan.backlogs) {
    say(`a backlog of ${backlog.toLocaleString("en-US")}`);
    seen.push(await observe(rig, backlog, plan.settleMs));
  }
  await rig.empty();
  return { tables: [{ title: "Memory of the worker", lines: lines(seen) }], numbers: { seen } };
}

function lines(seen: readonly Seen[]): ResultLine[] {
  const [none, most] = [seen[0], seen.at(-1)];
  const filled = seen.filter(({ backlog }) => backlog > 0);
  const name = ({ backlog }: Seen) => `${backlog.toLocaleString("en-US")} commands`;
  const more = (of: (at: Seen) => number | undefined) => {
    const [least, largest] = [none && of(none), most && of(most)];
    return {
      measured: least === undefined || largest === undefined ? undefined : largest - least,
      unit: "MiB",
      goal: GOAL,
    };
  };
  return [
    ...seen.map((at) => ({
      what: `${name(at)} wait`,
      measured: at.waiting.resident,
      unit: "MiB",
      note: heap(at.waiting),
    })),
    { what: "  increase over no backlog", ...more((at) => at.waiting.resident) },
    ...filled.map((at) => ({
      what: `${name(at)} are delivered`,
      measured: at.draining.resident,
      unit: "MiB",
      note: heap(at.draining),
    })),
    { what: "  increase in live heap over no backlog", ...more((at) => at.draining.live) },
  ];
}

const heap = ({ live }: Memory) => `live heap ${live.toFixed(1)} MiB`;

async function observe(rig: Rig, backlog: number, settleMs: number): Promise<Seen> {
  const { ids, worker, port, memory: waiting } = await startWaiting(rig, backlog, settleMs);
  const cad = await startBenchCad(rig, "modern", port);
  const draining: Memory = { resident: undefined, live: 0 };
  const isDrained = async () => {
    const now = residentMiB(worker.pid);
    if (now !== undefined) draining.resident = Math.max(now, draining.resident ?? 0);
    draining.live = Math.max(draining.live, await liveHeapMiB(rig, worker));
    return (await rig.backlog()).unsettled === 0;
  };
  await until("the backlog is settled", isDrained, DRAINED_WITHIN_MS, SAMPLE_EVERY_MS);
  await checkDelivered(rig, cad, ids, 0, DRAINED_WITHIN_MS);
  await worker.stop();
  await cad.stop();
  return { backlog, waiting, draining };
}
