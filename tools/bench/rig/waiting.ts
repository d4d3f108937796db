import { sleep } from "../../../shared/util/sleep.ts";
import { freePort } from "../../setup/free-port.ts";
import { until } from "../measure/poll.ts";
import { residentMiB } from "../measure/usage.ts";
import { fill } from "./fill.ts";
import { liveHeapMiB, probeEnv } from "./live-heap.ts";
import { type BenchWorker, isLeader, type Rig, startWorker } from "./rig.ts";

/** Large agencies have hundreds of units; the plan is for 1,000. */
const UNITS = 1000;
const LEADS_WITHIN_MS = 20_000;

/** Memory of the worker, MiB; `resident` is undefined where the system does not tell. */
export interface Memory {
  resident: number | undefined;
  /** Heap in use after a collection. */
  live: number;
}

/** A worker that leads a CAD which is down, with a backlog that waits for it. */
export interface Waiting {
  /** Ids of the backlog. */
  ids: string[];
  worker: BenchWorker;
  /** Where the CAD is to be started. */
  port: number;
  memory: Memory;
}

/** Starts a worker beside a backlog of so many commands, and measures it once it has settled for `settleMs`. */
export async function startWaiting(rig: Rig, backlog: number, settleMs: number): Promise<Waiting> {
  await rig.empty();
  const ids = await fill(rig, backlog, 1, UNITS);
  const port = await freePort();
  const worker = await startWorker(rig, `http://127.0.0.1:${port}`, probeEnv(rig));
  await until("the worker leads", () => isLeader(worker), LEADS_WITHIN_MS);
  await sleep(settleMs);
  const resident = residentMiB(worker.pid);
  return { ids, worker, port, memory: { resident, live: await liveHeapMiB(rig, worker) } };
}
