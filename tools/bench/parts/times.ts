import { readFileSync, statSync } from "node:fs";
import { sleep } from "../../../shared/util/sleep.ts";
import { ask } from "../../support/api.ts";
import { startBenchCad } from "../rig/bench-cad.ts";
import { BenchError } from "../measure/bench-error.ts";
import { nowMs } from "../measure/clock.ts";
import { PROCESSES, runRound } from "./latency.ts";
import type { Plan } from "../measure/plan.ts";
import { until } from "../measure/poll.ts";
import { type BenchWorker, type Rig, startWorker } from "../rig/rig.ts";
import { median } from "../measure/stats.ts";
import type { ResultLine, Part } from "../measure/table.ts";

const GOAL_CONNECTED_MS = 500;
const GOAL_EMITTED_MS = 50;
const GOAL_BACK_MS = 5000;
const READY_WITHIN_MS = 20_000;
const LOGGED_WITHIN_MS = 5000;
const POLL_MS = 5;
/** Slow enough that only one is in flight. */
const SINGLES_PER_SECOND = 50;

/** The three times promised in the documentation. */
export async function measureTimes(rig: Rig, plan: Plan["times"], say: (line: string) => void): Promise<Part> {
  await rig.empty();
  let cad = await startBenchCad(rig, "modern");
  const port = Number(new URL(cad.url).port);

  say("starting the worker");
  const starts: Started[] = [];
  for (let n = 0; n < plan.starts; n += 1) {
    const { worker, ...times } = await timeStart(rig, cad.url);
    starts.push(times);
    await worker.stop();
  }
  const { worker } = await timeStart(rig, cad.url);

  say("single commands");
  const pids = Object.fromEntries(PROCESSES.map((name) => [name, process.pid])) as Record<
    (typeof PROCESSES)[number],
    number
  >;
  await runRound(rig, cad, pids, SINGLES_PER_SECOND, 1);
  const single = await runRound(rig, cad, pids, SINGLES_PER_SECOND, plan.singles / SINGLES_PER_SECOND);

  say("reconnects");
  const reconnects: number[] = [];
  for (let n = 0; n < plan.reconnects; n += 1) reconnects.push(await timeReconnect(rig));

  const back: { awayMs: number; ms: number }[] = [];
  for (const awayMs of plan.cadAwayMs) {
    say(`the CAD is down for ${awayMs / 1000} s`);
    await cad.stop();
    await sleep(awayMs);
    cad = await startBenchCad(rig, "modern", port);
    const returned = nowMs();
    await until("the worker is ready again", worker.isReady, READY_WITHIN_MS, POLL_MS);
    back.push({ awayMs, ms: nowMs() - returned });
  }
  await worker.stop();
  await cad.stop();

  const connected = { atMost: GOAL_CONNECTED_MS };
  const lines: ResultLine[] = [
    {
      what: "connected: from taking the lease to ready",
      ...ms(starts.map((start) => start.connecting)),
      goal: connected,
    },
    { what: "connected: from /reconnect to its answer", ...ms(reconnects), goal: connected },
    {
      what: "emission: from the HTTP request to the CAD, one at a time",
      measured: single.p50,
      unit: "ms",
      note: `p99 ${single.p99.toFixed(1)}`,
      goal: { atMost: GOAL_EMITTED_MS },
    },
    ...back.map((b) => ({
      what: `ready again after the CAD was down ${b.awayMs / 1000} s`,
      measured: b.ms,
      unit: "ms",
      goal: { atMost: GOAL_BACK_MS },
    })),
    { what: "from the start of the worker's process to ready", ...ms(starts.map((start) => start.process)) },
  ];
  return { tables: [{ title: "The documented times", lines }], numbers: { starts, single, reconnects, back } };
}

const ms = (values: readonly number[]) => ({
  measured: median(values),
  unit: "ms",
  note: `median of ${values.length}; at most ${Math.max(...values).toFixed(0)}`,
});

interface Started {
  process: number;
  connecting: number;
}

async function timeStart(rig: Rig, cadUrl: string): Promise<Started & { worker: BenchWorker }> {
  const began = nowMs();
  const logFrom = sizeOf(`${rig.dir}/worker.log`);
  const worker = await startWorker(rig, cadUrl);
  await until("the worker is ready", worker.isReady, READY_WITHIN_MS, POLL_MS);
  const process = nowMs() - began;
  const at = (message: string) => {
    const lines = readFileSync(worker.output, "utf8").slice(logFrom);
    return Number(new RegExp(`"time":(\\d+).*"msg":"${message}"`).exec(lines)?.[1]);
  };
  const connectingMs = () => at("the CAD is ready") - at("this worker is the leader");
  // A log line is written slightly after what it reports.
  await until("the worker's log reports it too", async () => !Number.isNaN(connectingMs()), LOGGED_WITHIN_MS);
  const connecting = connectingMs();
  return { worker, process, connecting };
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

async function timeReconnect(rig: Rig): Promise<number> {
  const began = nowMs();
  const { status } = await ask("POST", `${rig.functions.url}/reconnect`, { token: rig.tokens.admin, body: {} });
  if (status !== 200) throw new BenchError(`/reconnect was answered ${status}`);
  return nowMs() - began;
}
