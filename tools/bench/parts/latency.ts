import type { CharacterName } from "../../simulator/characters.ts";
import { startBareServer } from "../rig/bare-server.ts";
import { type BenchCad, startBenchCad } from "../rig/bench-cad.ts";
import { BenchError } from "../measure/bench-error.ts";
import { checkDelivered, confirmedSoFar } from "../rig/delivered.ts";
import type { Plan } from "../measure/plan.ts";
import { until } from "../measure/poll.ts";
import { POST_STATUS, type Rig, startWorker } from "../rig/rig.ts";
import { median, medianOf, percentile } from "../measure/stats.ts";
import type { ResultLine, Part, Table } from "../measure/table.ts";
import { watchCpu } from "../measure/usage.ts";

/** The rate the goal applies to, commands/s. */
const GOAL_AT = 1000;
const GOAL = { p50: { atMost: 2 }, p99: { atMost: 15 } };
const READY_WITHIN_MS = 20_000;
const SETTLED_WITHIN_MS = 20_000;
const GRACE_MS = 15_000;
export const PROCESSES = ["functions", "worker", "redis", "simulator"] as const;
type Cpu = Record<(typeof PROCESSES)[number], number | undefined>;

export interface LatencyRound {
  p50: number;
  p99: number;
  max: number;
  /** How late the load generator was; included in the times above. */
  lateP99: number;
  cpu: Cpu;
}

/** From the HTTP request to arrival at the CAD, at fixed rates. */
export async function measureLatency(rig: Rig, plan: Plan["latency"], say: (line: string) => void): Promise<Part> {
  say("bare Hono route");
  const floor = await measureFloor(rig, plan);
  const parts: Part[] = [];
  for (const character of ["modern", "legacy"] as const) {
    say(`${character} CAD`);
    parts.push(await measureWith(rig, plan, character, say));
  }
  return {
    tables: [floorTable(floor), ...parts.flatMap((part) => part.tables)],
    numbers: { floor, bridge: parts.map((part) => part.numbers) },
  };
}

/** From the HTTP request to the handler of a bare route: this machine's minimum for the first of many hops. */
async function measureFloor(rig: Rig, plan: Plan["latency"]): Promise<{ p50: number; p99: number }> {
  const server = await startBareServer(rig);
  const job = { port: server.port, path: "/json", idempotency: false, perSecond: GOAL_AT, seconds: plan.seconds };
  const within = plan.seconds * 1000 + GRACE_MS;
  await rig.loader.ask("openLoop", job, within);
  const { ids, dueMs } = await rig.loader.ask("openLoop", job, within);
  await server.stop();
  const took = ids.map((at, i) => Number(at) - (dueMs[i] ?? Number.NaN));
  return { p50: percentile(took, 0.5), p99: percentile(took, 0.99) };
}

function floorTable({ p50, p99 }: { p50: number; p99: number }): Table {
  return {
    title: "For comparison: from the HTTP request to the handler of a bare Hono route",
    lines: [
      { what: `${GOAL_AT}/s  p50`, measured: p50, unit: "ms" },
      { what: `${GOAL_AT}/s  p99`, measured: p99, unit: "ms" },
    ],
  };
}

async function measureWith(
  rig: Rig,
  plan: Plan["latency"],
  character: CharacterName,
  say: (line: string) => void,
): Promise<Part> {
  await rig.empty();
  const cad = await startBenchCad(rig, character);
  const worker = await startWorker(rig, cad.url);
  await until("the worker is ready", worker.isReady, READY_WITHIN_MS);
  const pids = { functions: rig.functions.pid, worker: worker.pid, redis: rig.redis.pid, simulator: cad.pid };

  await runRound(rig, cad, pids, GOAL_AT, plan.warmUpSeconds);
  const results = new Map(plan.perSecond.map((rate) => [rate, [] as LatencyRound[]]));
  for (let round = 1; round <= plan.rounds; round += 1) {
    say(`  round ${round} of ${plan.rounds}`);
    for (const [rate, rounds] of results) rounds.push(await runRound(rig, cad, pids, rate, plan.seconds));
  }
  await worker.stop();
  await cad.stop();

  const summary = [...results].map(([perSecond, rounds]) => ({ perSecond, ...summarise(rounds) }));
  return { tables: tables(character, summary), numbers: { character, summary, rounds: Object.fromEntries(results) } };
}

/** One round at one rate. */
export async function runRound(
  rig: Rig,
  cad: BenchCad,
  pids: Record<(typeof PROCESSES)[number], number>,
  perSecond: number,
  seconds: number,
): Promise<LatencyRound> {
  await cad.forget();
  const before = await confirmedSoFar(rig);
  const used = watchCpu(pids);
  const job = {
    port: rig.functions.port,
    path: POST_STATUS,
    token: rig.tokens.crew,
    idempotency: true,
    perSecond,
    seconds,
  };
  const sent = await rig.loader.ask("openLoop", job, seconds * 1000 + GRACE_MS);
  const arrivals = await checkDelivered(rig, cad, sent.ids, before, SETTLED_WITHIN_MS);
  const cpu = used();

  const arrivedAt = new Map(arrivals.ids.map((id, i) => [id, arrivals.atMs[i]]));
  // From the due time, not the send time: a delayed sender must not hide it.
  const took = sent.ids.map((id, i) => (arrivedAt.get(id) ?? Number.NaN) - (sent.dueMs[i] ?? Number.NaN));
  if (took.some((ms) => !(ms > 0))) throw new BenchError("a command reached the CAD before it was sent");
  const late = sent.sentMs.map((at, i) => at - (sent.dueMs[i] ?? Number.NaN));
  const each = (micros: number | undefined) => (micros === undefined ? undefined : micros / took.length);
  return {
    p50: percentile(took, 0.5),
    p99: percentile(took, 0.99),
    max: Math.max(...took),
    lateP99: percentile(late, 0.99),
    cpu: {
      functions: each(cpu.functions),
      worker: each(cpu.worker),
      redis: each(cpu.redis),
      simulator: each(cpu.simulator),
    },
  };
}

function summarise(rounds: readonly LatencyRound[]): LatencyRound {
  const cpu = (name: keyof Cpu) => medianOf(rounds.map((round) => round.cpu[name]));
  return {
    p50: median(rounds.map((round) => round.p50)),
    p99: median(rounds.map((round) => round.p99)),
    max: Math.max(...rounds.map((round) => round.max)),
    lateP99: median(rounds.map((round) => round.lateP99)),
    cpu: { functions: cpu("functions"), worker: cpu("worker"), redis: cpu("redis"), simulator: cpu("simulator") },
  };
}

function tables(character: CharacterName, summary: readonly (LatencyRound & { perSecond: number })[]): Table[] {
  const times = summary.flatMap(({ perSecond, p50, p99, max, lateP99 }): ResultLine[] => {
    const held = perSecond === GOAL_AT;
    const note = `max ${max.toFixed(1)}; the load generator was late by ${lateP99.toFixed(2)} at p99`;
    return [
      { what: `${perSecond}/s  p50`, measured: p50, unit: "ms", ...(held && { goal: GOAL.p50 }) },
      { what: `${perSecond}/s  p99`, measured: p99, unit: "ms", ...(held && { goal: GOAL.p99 }), note },
    ];
  });
  const cpu = summary.flatMap(({ perSecond, cpu: used }) =>
    PROCESSES.map((name): ResultLine => ({ what: `${perSecond}/s  ${name}`, measured: used[name], unit: "us" })),
  );
  return [
    { title: `From the HTTP request to the CAD, ${character} CAD`, lines: times },
    { title: `CPU per command, ${character} CAD`, lines: cpu },
  ];
}
