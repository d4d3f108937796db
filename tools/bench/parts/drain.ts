import { startBenchCad } from "../rig/bench-cad.ts";
import { nowMs } from "../measure/clock.ts";
import { checkDelivered } from "../rig/delivered.ts";
import { fill } from "../rig/fill.ts";
import type { Plan } from "../measure/plan.ts";
import { until } from "../measure/poll.ts";
import { type Rig, startWorker } from "../rig/rig.ts";
import { median, medianOf } from "../measure/stats.ts";
import type { ResultLine, Part, Table } from "../measure/table.ts";
import { watchCpu } from "../measure/usage.ts";

const GOAL = { atLeast: 8000 };
const DRAINED_WITHIN_MS = 60_000;

interface Round {
  /** From the first command at the CAD to the last. */
  perSecond: number;
  /** From the start of the worker's process to the last command settled, s. */
  sinceStart: number;
  cpu: Record<"worker" | "redis" | "simulator", number | undefined>;
}

/** How fast a newly started worker delivers a backlog. */
export async function measureDrain(rig: Rig, plan: Plan["drain"], say: (line: string) => void): Promise<Part> {
  const results: Record<1 | 2, Round[]> = { 1: [], 2: [] };
  for (let round = 1; round <= plan.rounds; round += 1) {
    say(`round ${round} of ${plan.rounds}`);
    for (const keys of [1, 2] as const) results[keys].push(await runRound(rig, plan.commands, keys));
  }
  await rig.empty();
  const tables = ([1, 2] as const).map((keys) => table(plan.commands, keys, results[keys]));
  return { tables, numbers: { commands: plan.commands, rounds: results } };
}

async function runRound(rig: Rig, commands: number, keys: 1 | 2): Promise<Round> {
  await rig.empty();
  const cad = await startBenchCad(rig, "modern");
  const ids = await fill(rig, commands, keys);

  const began = nowMs();
  const worker = await startWorker(rig, cad.url);
  const unsettled = async () => (await rig.backlog()).unsettled;
  let atFirst = commands;
  await until("the first command is settled", async () => (atFirst = await unsettled()) < commands, DRAINED_WITHIN_MS);
  // Not from the process's start: loading the code is not a cost per command.
  const used = watchCpu({ worker: worker.pid, redis: rig.redis.pid, simulator: cad.pid });
  await until("the backlog is settled", async () => (await unsettled()) === 0, DRAINED_WITHIN_MS);
  const sinceStart = (nowMs() - began) / 1000;
  const cpu = used();
  const { atMs } = await checkDelivered(rig, cad, ids, 0, DRAINED_WITHIN_MS);
  await worker.stop();
  await cad.stop();

  const each = (micros: number | undefined) => (micros === undefined ? undefined : micros / atFirst);
  const seconds = ((atMs.at(-1) ?? 0) - (atMs[0] ?? 0)) / 1000;
  return {
    perSecond: (atMs.length - 1) / seconds,
    sinceStart,
    cpu: { worker: each(cpu.worker), redis: each(cpu.redis), simulator: each(cpu.simulator) },
  };
}

function table(commands: number, keys: 1 | 2, rounds: readonly Round[]): Table {
  const rates = rounds.map((round) => round.perSecond);
  const spread = `from ${Math.round(Math.min(...rates)).toLocaleString("en-US")} to ${Math.round(Math.max(...rates)).toLocaleString("en-US")}`;
  const cpu = (["worker", "redis", "simulator"] as const).map((name): ResultLine => ({
    what: `CPU of ${name}`,
    measured: medianOf(rounds.map((round) => round.cpu[name])),
    unit: "us/command",
  }));
  return {
    title: `Draining ${commands.toLocaleString("en-US")} commands, ${keys === 1 ? "1 ordering key" : "2 ordering keys"} each, modern CAD`,
    lines: [
      { what: "rate", measured: median(rates), unit: "/s", goal: GOAL, note: spread },
      {
        what: "from the worker's start to all settled",
        measured: median(rounds.map((round) => round.sinceStart)),
        unit: "s",
      },
      ...cpu,
    ],
  };
}
