import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type RunningProcess, startProcess } from "../../tools/setup/process.ts";

/** A worker in a process of its own, which can be killed. It does not outlive the test. */
export async function workerProcess(env: Readonly<Record<string, string>>): Promise<RunningProcess> {
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-worker-"));
  const output = join(dir, "worker.log");
  const started = await startProcess({
    ...{ name: "worker", script: "worker/main.ts", output },
    env: { LOG_FILE: undefined, WORKER_PORT: "0", ...env },
    readyWhen: async () => readFileSync(output, "utf8").includes("started"),
  });
  onTestFinished(async () => {
    await started.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return started;
}
