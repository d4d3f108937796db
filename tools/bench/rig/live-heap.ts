import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { RunningProcess } from "../../setup/process.ts";
import { until } from "../measure/poll.ts";
import { helperScript, type Rig } from "./rig.ts";

const ANSWERS_WITHIN_MS = 10_000;
const fileOf = (rig: Rig) => join(rig.dir, "heap");

/** Environment of a worker that can report its live heap. */
export const probeEnv = (rig: Rig): Record<string, string> => ({
  NODE_OPTIONS: `--expose-gc --import=${helperScript("measure/memory-probe.ts")}`,
  BENCH_HEAP_FILE: fileOf(rig),
});

/** Heap in use after a garbage collection, MiB. */
export async function liveHeapMiB(rig: Rig, process: RunningProcess): Promise<number> {
  const file = fileOf(rig);
  rmSync(file, { force: true });
  process.kill("SIGUSR2");
  await until("the worker reports its heap", async () => existsSync(file), ANSWERS_WITHIN_MS);
  return Number(readFileSync(file, "utf8")) / 2 ** 20;
}
