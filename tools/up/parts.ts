import { join } from "node:path";
import { startProcess, type RunningProcess } from "../setup/process.ts";

export interface PartOptions {
  name: string;
  /** From the project's root. */
  script: string;
  env: Readonly<Record<string, string>>;
  readyWhen: () => Promise<boolean>;
  readyWithinMs?: number;
}

/** The processes of a demonstration: started one after another, ended in the opposite order. */
export interface Parts {
  processes: readonly RunningProcess[];
  start(options: PartOptions): Promise<void>;
  /** Takes over a process that was started elsewhere. `command` is a part of its command line. */
  add(process: RunningProcess, command: string): void;
  /** Done once all processes have ended. */
  atTheEnd(task: () => Promise<void>): void;
  /** Every task is done, whatever fails. Safe to call again. */
  stop(): Promise<void>;
}

export function createParts(logs: string, onStarted: (process: RunningProcess, command: string) => void): Parts {
  const processes: RunningProcess[] = [];
  const last: (() => Promise<void>)[] = [];
  let stopped: Promise<void> | undefined;
  const add = (process: RunningProcess, command: string) => {
    processes.push(process);
    onStarted(process, command);
  };

  async function stop(): Promise<void> {
    const failed: unknown[] = [];
    const tasks = [...processes.toReversed().map((process) => async () => void (await process.stop())), ...last];
    for (const task of tasks) await task().catch((error: unknown) => failed.push(error));
    if (failed.length > 0) throw new AggregateError(failed, "not everything could be stopped");
  }

  return {
    processes,
    add,
    async start({ env, ...options }) {
      const output = join(logs, `${options.name}.log`);
      // LOG_FILE would write every line twice: what the process prints is already kept.
      add(await startProcess({ ...options, output, env: { ...env, LOG_FILE: undefined } }), options.script);
    },
    atTheEnd: (task) => void last.push(task),
    stop: () => (stopped ??= stop()),
  };
}
