import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readArgs, runCli, UsageError } from "../support/cli.ts";
import { measureAccept } from "./parts/accept.ts";
import { measureBacklog } from "./parts/backlog.ts";
import { measureDrain } from "./parts/drain.ts";
import { measureEdge } from "./parts/edge.ts";
import { describeEnvironment } from "./measure/environment.ts";
import { measureEvents } from "./parts/events.ts";
import { measureGrowth } from "./parts/growth.ts";
import { measureLatency } from "./parts/latency.ts";
import { measureMemory } from "./parts/memory.ts";
import { measureNaive } from "./parts/naive.ts";
import { FULL, type Plan, QUICK, withSeconds } from "./measure/plan.ts";
import { measureTimes } from "./parts/times.ts";
import { type Rig, startRig } from "./rig/rig.ts";
import { type Part, render } from "./measure/table.ts";
import { watchOthers } from "./measure/usage.ts";

const ROOT = join(import.meta.dirname, "../..");
const RUN = join(ROOT, ".run");
/** Upper limits of a whole run; a busy machine takes longer. */
const WITHIN_MS = 15 * 60_000;
const LONG_WITHIN_MS = 45 * 60_000;

type Say = (line: string) => void;
interface Measurement {
  name: string;
  what: string;
  /** Takes so long, and so much memory, that it runs only when it is named, or with --long. */
  long?: boolean;
  measure(rig: Rig, plan: Plan, say: Say): Promise<Part>;
}
const MEASUREMENTS: readonly Measurement[] = [
  {
    name: "accept",
    what: "accepted commands/s, compared with bare routes",
    measure: (rig, plan, say) => measureAccept(rig, plan.accept, say),
  },
  {
    name: "latency",
    what: "from the HTTP request to the CAD, p50 and p99, and CPU",
    measure: (rig, plan, say) => measureLatency(rig, plan.latency, say),
  },
  {
    name: "drain",
    what: "commands/s draining a backlog, and CPU",
    measure: (rig, plan, say) => measureDrain(rig, plan.drain, say),
  },
  {
    name: "memory",
    what: "the worker's memory with and without a backlog",
    measure: (rig, plan, say) => measureMemory(rig, plan.memory, say),
  },
  {
    name: "times",
    what: "connection, emission, ready again",
    measure: (rig, plan, say) => measureTimes(rig, plan.times, say),
  },
  {
    name: "events",
    what: "the CAD's events to a handler and to 8 destinations, p50 and p99, and events/s",
    measure: (rig, plan, say) => measureEvents(rig, plan.events, say),
  },
  {
    name: "edge",
    what: "the functions on Node and in workerd, beside a bare worker, and the size of the bundle",
    measure: (rig, plan, say) => measureEdge(rig, plan.edge, say),
  },
  {
    name: "naive",
    what: "CPU, times and round trips, alternating with a naive bridge",
    measure: (rig, plan, say) => measureNaive(rig, plan.naive, say),
  },
  {
    name: "growth",
    what: "CPU for a command with more units, destinations, and a longer journal",
    measure: (rig, plan, say) => measureGrowth(rig, plan.growth, say),
  },
  {
    name: "backlog",
    what: "the worker's memory and rate with 1,000,000 commands waiting",
    long: true,
    measure: (rig, plan, say) => measureBacklog(rig, plan.backlog, say),
  },
];
const NAMES = MEASUREMENTS.map(({ name }) => name);

const USAGE = `npm run bench [-- OPTIONS]

Measures the bridge on this machine with real processes (a Redis of its own with AOF, a CAD simulator, the functions, the
worker) and compares the results with the targets. A missed target is shown and does not fail the run; lost commands do.

  --only NAME   run only one of these:
${MEASUREMENTS.map(({ name, what }) => `                  ${name.padEnd(8)} ${what}`).join("\n")}
  --long        everything, with what takes long as well
  --quick       fewer rounds: about five minutes
  --seconds N   duration of a round at one rate, 1 to 60
  --help

All results are also written to .run/bench.json.
`;

async function main(): Promise<number> {
  const options = {
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    long: { type: "boolean", default: false },
    seconds: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  } as const;
  const { only, quick, long, seconds, help } = readArgs({ options }, "bench", process.env).values;
  if (help) {
    console.log(USAGE);
    return 0;
  }
  if (only !== undefined && !NAMES.includes(only))
    throw new UsageError(`--only must be one of ${NAMES.join(", ")}, not "${only}".`);
  const plan = planOf(quick, seconds);
  const wanted = MEASUREMENTS.filter((one) => (only === undefined ? long || !one.long : one.name === only));
  endInTime(wanted.some((one) => one.long) ? LONG_WITHIN_MS : WITHIN_MS);

  mkdirSync(RUN, { recursive: true });
  const dir = mkdtempSync(join(RUN, "bench-"));
  // After a failure the logs are kept. Redis's file is large.
  process.on("exit", (code) => rmSync(code === 1 ? join(dir, "redis") : dir, { recursive: true, force: true }));
  const { environment, measured } = await run(wanted, plan, dir);
  for (const { name, what, others, tables } of measured) {
    const share = others === undefined ? "an unknown share" : `${Math.round(100 * others)} %`;
    console.log(`\n== ${name}: ${what} (other programs used ${share} of the CPU)`);
    for (const table of tables) console.log(render(table));
  }
  const numbers = Object.fromEntries(measured.map(({ name, others, numbers: n }) => [name, { others, ...n }]));
  writeFileSync(join(RUN, "bench.json"), `${JSON.stringify({ environment, quick, ...numbers }, null, 2)}\n`);
  console.log("\nAll numbers: .run/bench.json");
  return 0;
}

function planOf(quick: boolean, seconds: string | undefined): Plan {
  const plan = quick ? QUICK : FULL;
  if (seconds === undefined) return plan;
  const each = Number(seconds);
  if (!(each >= 1 && each <= 60)) throw new UsageError(`--seconds must be from 1 to 60, not "${seconds}".`);
  return withSeconds(plan, each);
}

function endInTime(withinMs: number): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));
  setTimeout(() => {
    console.error(`The bench did not end within ${withinMs / 60_000} minutes.`);
    process.exit(1);
  }, withinMs).unref();
}

type Measured = Part & Measurement & { others: number | undefined };

async function run(wanted: readonly Measurement[], plan: Plan, dir: string) {
  const began = performance.now();
  const say = (line: string) =>
    console.log(`${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${line}`);
  const rig = await startRig(dir);
  const environment = await describeEnvironment(rig.client);
  const { cpu, cores, node, redis, load } = environment;
  say(`${cores} x ${cpu}; Node ${node}, Redis ${redis} (AOF, everysec); load ${load.toFixed(1)}`);
  const measured: Measured[] = [];
  for (const measurement of wanted) {
    say(`${measurement.name}: ${measurement.what}`);
    const others = watchOthers([rig.redis.pid, rig.functions.pid, rig.loader.pid]);
    const part = await measurement.measure(rig, plan, (line) => say(`  ${line}`));
    measured.push({ ...measurement, ...part, others: others() });
  }
  await rig.stop();
  say("done");
  return { environment, measured };
}

await runCli(main);
