import { setTimeout as pause } from "node:timers/promises";
import { howItEnded, type RunningProcess } from "../../setup/process.ts";

/** A process of the bridge that is killed, stopped and restarted; if it exits by itself, it is restarted too. */
export interface Service {
  readonly name: string;
  /** Starts it and waits until it is ready; no-op if it runs. Resolves to its process's start time, ms since 1970. */
  start(): Promise<number>;
  /** Sends a signal; waits for the exit if the signal ends a process. No-op if it does not run. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** How it exited by itself, each time. */
  readonly endings: readonly string[];
  /** Stops it for good. */
  stop(): Promise<void>;
}

const ENDING: readonly NodeJS.Signals[] = ["SIGKILL", "SIGTERM"];
/** Restart delay of a supervisor, ms. */
const RESTART_AFTER_MS = 1000;

export function createService(name: string, startOne: () => Promise<RunningProcess>): Service {
  const endings: string[] = [];
  let present: RunningProcess | undefined;
  let starting: Promise<RunningProcess> | undefined;
  /** Whether it is meant to run. */
  let wanted = false;

  async function start(): Promise<number> {
    wanted = true;
    const asked = Date.now();
    if (present?.running) return asked;
    present = await (starting ??= startOne().finally(() => (starting = undefined)));
    void supervise(present);
    return asked;
  }

  async function supervise(watched: RunningProcess): Promise<void> {
    const exit = await watched.exited;
    if (!wanted || watched !== present) return;
    endings.push(howItEnded(exit));
    await pause(RESTART_AFTER_MS);
    // A failed start shows in the checks of the run.
    if (wanted) await start().catch(() => undefined);
  }

  return {
    name,
    endings,
    start,
    async kill(signal) {
      const process = present;
      if (!process?.running) return;
      if (ENDING.includes(signal)) wanted = false;
      process.kill(signal);
      if (ENDING.includes(signal)) await process.exited;
    },
    async stop() {
      wanted = false;
      await starting?.catch(() => undefined);
      present?.kill("SIGCONT");
      await present?.stop();
    },
  };
}
