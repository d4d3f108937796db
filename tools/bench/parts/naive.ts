import { sleep } from "../../../shared/util/sleep.ts";
import { BenchError } from "../measure/bench-error.ts";
import type { Peer, PeerPids } from "../naive/peers.ts";
import { startBridgePeer, startNaivePeer } from "../naive/peers.ts";
import type { Plan } from "../measure/plan.ts";
import { until } from "../measure/poll.ts";
import { untilWarm } from "../measure/warm.ts";
import type { Rig } from "../rig/rig.ts";
import { median, medianOf, percentile } from "../measure/stats.ts";
import { countSystemCalls } from "../measure/system-calls.ts";
import type { ResultLine, Part, Table } from "../measure/table.ts";
import { watchCpu } from "../measure/usage.ts";

/** Goals, relative to the naive bridge. */
const GOAL = { cpu: { atMost: 0.75 }, time: { atMost: 1 }, drain: { atMost: 0.7 } };
const GOAL_CALLS = { atMost: 30 };
const GOAL_TRIPS = { atMost: 4 };
/** Times are compared from this rate on, commands/s. */
const TIMES_FROM = 1000;
const TRIPS_AT = 100;
const CALLS_AT = 200;
const COUNTED_SECONDS = 3;
const SETTLED_WITHIN_MS = 30_000;
const DRAINED_WITHIN_MS = 120_000;
const GRACE_MS = 20_000;
const PARTS = ["functions", "worker", "redis"] as const;
type Part3 = (typeof PARTS)[number];

interface Round {
  p50: number;
  p99: number;
  /** us per command. */
  cpu: Record<Part3 | "simulator" | "load", number | undefined>;
  /** Sum of the parts that carry the command. */
  total: number | undefined;
}
type Rounds = Record<Peer["name"], Round[]>;

/** Compares the bridge with a naive one: same machine, same minutes, same load, alternating. */
export async function measureNaive(rig: Rig, plan: Plan["naive"], say: (line: string) => void): Promise<Part> {
  await rig.empty();
  const peers = [await startBridgePeer(rig), await startNaivePeer(rig)] as const;
  try {
    for (const peer of peers) {
      say(`warming up: ${peer.name}`);
      await runAt(rig, peer, TIMES_FROM, plan.warmUpSeconds);
    }
    const rounds = new Map<number, Rounds>(plan.perSecond.map((rate) => [rate, { bridge: [], naive: [] }]));
    for (let round = 1; round <= plan.rounds; round += 1) {
      say(`round ${round} of ${plan.rounds}`);
      for (const [rate, both] of rounds)
        for (const peer of round % 2 === 1 ? peers : peers.toReversed())
          both[peer.name].push(await runAt(rig, peer, rate, plan.seconds));
    }
    say("round trips to Redis, system calls");
    const trips = await forEach(peers, (peer) => roundTrips(rig, peer));
    const calls = await forEach(peers, (peer) => systemCalls(rig, peer));
    say(`draining ${plan.drain.toLocaleString("en-US")} commands`);
    const drained = await forEach(peers, (peer) => drain(peer, plan.drain));
    return {
      tables: [
        ...[...rounds].map(([rate, both]) => rateTable(rate, both)),
        countsTable(trips, calls),
        drainTable(drained),
      ],
      numbers: { rounds: Object.fromEntries(rounds), trips, calls, drained },
    };
  } finally {
    for (const peer of peers) await peer.stop();
    await rig.empty();
  }
}

async function forEach<T>(
  peers: readonly Peer[],
  measure: (peer: Peer) => Promise<T>,
): Promise<Record<Peer["name"], T>> {
  const found = [];
  for (const peer of peers) found.push([peer.name, await measure(peer)] as const);
  return Object.fromEntries(found) as Record<Peer["name"], T>;
}

/** One round at one rate, until every command has arrived at the CAD and is settled. */
async function send(rig: Rig, peer: Peer, perSecond: number, seconds: number) {
  await peer.cad.forget();
  const sent = await rig.loader.ask("openLoop", { ...peer.target, perSecond, seconds }, seconds * 1000 + GRACE_MS);
  const settled = async () => (await peer.unsettled()) === 0 && (await peer.cad.count()) >= sent.ids.length;
  await until(`every command of ${peer.name} is settled`, settled, SETTLED_WITHIN_MS);
  return sent;
}

async function runAt(rig: Rig, peer: Peer, perSecond: number, seconds: number): Promise<Round> {
  const used = watchCpu({ ...peer.pids(), load: rig.loader.pid });
  const sent = await send(rig, peer, perSecond, seconds);
  const cpu = used();
  const arrivals = await peer.cad.arrivals();
  const arrivedAt = new Map(arrivals.ids.map((id, i) => [id, arrivals.atMs[i]]));
  const took = sent.ids.map((id, i) => (arrivedAt.get(id) ?? Number.NaN) - (sent.dueMs[i] ?? Number.NaN));
  if (took.some((ms) => !(ms > 0))) throw new BenchError(`a command of ${peer.name} did not reach the CAD`);
  if (peer.name === "bridge" && arrivals.violations > 0)
    throw new BenchError(`${arrivals.violations} commands reached the CAD out of order`);
  const each = (micros: number | undefined) => (micros === undefined ? undefined : micros / took.length);
  return {
    p50: percentile(took, 0.5),
    p99: percentile(took, 0.99),
    cpu: {
      ...{ functions: each(cpu.functions), worker: each(cpu.worker), redis: each(cpu.redis) },
      ...{ simulator: each(cpu.simulator), load: each(cpu.load) },
    },
    total: each(sum(PARTS.map((part) => cpu[part]))),
  };
}

const sum = (values: readonly (number | undefined)[]): number | undefined =>
  values.every((value) => value !== undefined) ? values.reduce((a, b) => a + b, 0) : undefined;

/** Read events of Redis's connections per command, minus those of an idle bridge. */
async function roundTrips(rig: Rig, peer: Peer): Promise<{ perCommand: number; idlePerSecond: number }> {
  const reads = async () => Number(/^total_reads_processed:(\d+)/m.exec(await peer.redis.info("stats"))?.[1]);
  const began = await reads();
  await sleep(COUNTED_SECONDS * 1000);
  const idle = (await reads()) - began;
  const before = await reads();
  const from = performance.now();
  const job = { ...peer.target, perSecond: TRIPS_AT, seconds: COUNTED_SECONDS };
  const sent = await rig.loader.ask("openLoop", job, COUNTED_SECONDS * 1000 + GRACE_MS);
  await sleep(200);
  const all = (await reads()) - before;
  const idleShare = (idle * (performance.now() - from)) / (COUNTED_SECONDS * 1000);
  return { perCommand: (all - idleShare) / sent.ids.length, idlePerSecond: idle / COUNTED_SECONDS };
}

/** Sum over the three parts; undefined without strace. */
async function systemCalls(rig: Rig, peer: Peer): Promise<number | undefined> {
  const pids: PeerPids = peer.pids();
  const counts = await Promise.all(PARTS.map((part) => countSystemCalls(pids[part])));
  const sent = await send(rig, peer, CALLS_AT, COUNTED_SECONDS);
  const totals = await Promise.all(counts.map(async (count) => count?.()));
  const all = sum(totals);
  return all === undefined ? undefined : all / sent.ids.length;
}

interface Drained {
  perSecond: number;
  cpu: Record<"worker" | "redis" | "simulator", number | undefined>;
  total: number | undefined;
}

/** Cost of delivering a backlog once the worker is warm. */
async function drain(peer: Peer, commands: number): Promise<Drained> {
  await peer.refill(commands);
  await peer.cad.forget();
  await peer.startWorker();
  const from = await untilWarm(peer.unsettled, commands, DRAINED_WITHIN_MS);
  const { worker, redis, simulator } = peer.pids();
  const used = watchCpu({ worker, redis, simulator });
  const began = performance.now();
  await until("the backlog is settled", async () => (await peer.unsettled()) === 0, DRAINED_WITHIN_MS, 20);
  const seconds = (performance.now() - began) / 1000;
  const cpu = used();
  const each = (micros: number | undefined) => (micros === undefined ? undefined : micros / from);
  return {
    perSecond: from / seconds,
    cpu: { worker: each(cpu.worker), redis: each(cpu.redis), simulator: each(cpu.simulator) },
    total: each(sum([cpu.worker, cpu.redis])),
  };
}

const ratio = (a: number | undefined, b: number | undefined) =>
  a === undefined || b === undefined ? undefined : a / b;

const totalOf = (rounds: readonly Round[]) => medianOf(rounds.map((round) => round.total));
const partOf = (rounds: readonly Round[], name: keyof Round["cpu"]) => medianOf(rounds.map((r) => r.cpu[name]));

function rateTable(rate: number, { bridge, naive }: Rounds): Table {
  const times = (["p50", "p99"] as const).flatMap((p): ResultLine[] => {
    const [ours, theirs] = [bridge, naive].map((rounds) => median(rounds.map((round) => round[p])));
    return [
      {
        what: `${p} from the HTTP request to the CAD, relative to naive`,
        measured: ratio(ours, theirs),
        unit: "",
        ...(rate >= TIMES_FROM && { goal: GOAL.time }),
        note: `${ours?.toFixed(1)} and ${theirs?.toFixed(1)} ms`,
      },
    ];
  });
  return {
    title: `The bridge compared with a naive one, ${rate}/s`,
    lines: [
      {
        what: "CPU per command, relative to naive",
        measured: ratio(totalOf(bridge), totalOf(naive)),
        unit: "",
        goal: GOAL.cpu,
      },
      ...[bridge, naive].flatMap((rounds, i): ResultLine[] => [
        {
          what: i === 0 ? "bridge" : "naive",
          measured: totalOf(rounds),
          unit: "us",
          note: PARTS.map((name) => `${name} ${partOf(rounds, name)?.toFixed(0)}`).join(", "),
        },
      ]),
      ...times,
      ...(["simulator", "load"] as const).map((name): ResultLine => ({
        what: `the ${name}'s own`,
        measured: partOf(bridge, name),
        unit: "us",
        note: `${partOf(naive, name)?.toFixed(0)} us in the naive one`,
      })),
    ],
  };
}

function countsTable(
  trips: Record<Peer["name"], { perCommand: number; idlePerSecond: number }>,
  calls: Record<Peer["name"], number | undefined>,
): Table {
  return {
    title: "Counts per command",
    lines: [
      {
        what: `round trips to Redis at ${TRIPS_AT}/s`,
        measured: trips.bridge.perCommand,
        unit: "",
        goal: GOAL_TRIPS,
        note: `naive ${trips.naive.perCommand.toFixed(1)}; idle, not counted: ${trips.bridge.idlePerSecond.toFixed(1)}/s and ${trips.naive.idlePerSecond.toFixed(1)}/s`,
      },
      {
        what: `system calls at ${CALLS_AT}/s (strace)`,
        measured: calls.bridge,
        unit: "",
        goal: GOAL_CALLS,
        note: `naive ${calls.naive?.toFixed(1) ?? "not measured"}`,
      },
    ],
  };
}

function drainTable({ bridge, naive }: Record<Peer["name"], Drained>): Table {
  const note = ({ cpu, perSecond }: Drained) =>
    `worker ${cpu.worker?.toFixed(0)}, redis ${cpu.redis?.toFixed(0)}; ${Math.round(perSecond).toLocaleString("en-US")}/s`;
  return {
    title: "A backlog drained by a warm worker",
    lines: [
      {
        what: "CPU of worker and Redis per command, relative to naive",
        measured: ratio(bridge.total, naive.total),
        unit: "",
        goal: GOAL.drain,
      },
      { what: "bridge", measured: bridge.total, unit: "us", note: note(bridge) },
      { what: "naive", measured: naive.total, unit: "us", note: note(naive) },
    ],
  };
}
