import { join } from "node:path";
import { startProcess, type RunningProcess } from "../setup/process.ts";

export interface PartOptions {
  name: string;
  /** Relative to the project's root. */
  script: string;
  env: Readonly<Record<string, string>>;
  readyWhen: () => Promise<boolean>;
  readyWithinMs?: number;
}

/** The processes of a demo: started one after another, stopped in reverse order. */
export interface Parts {
  start(options: PartOptions): Promise<void>;
  /** Adopts a process started elsewhere. `command` identifies it by part of its command line; `again` restarts it. */
  add(process: RunningProcess, command: string, again: () => Promise<RunningProcess>): void;
  names(): string[];
  state(name: string): "running" | "frozen" | "stopped";
  /** Freezes, stops or starts a part on request. Throws if it does not start. */
  act(name: string, action: "stop" | "kill" | "start" | "restart" | "freeze" | "thaw"): Promise<void>;
  /** Resolves with the first process that exited without being stopped. */
  died: Promise<RunningProcess>;
  /** Runs the task once all processes have ended. */
  atTheEnd(task: () => Promise<void>): void;
  /** Runs every task, even if some fail. Idempotent. */
  stop(): Promise<void>;
}

interface Part {
  process: RunningProcess;
  command: string;
  again: () => Promise<RunningProcess>;
  frozen: boolean;
  /** Whether it is being stopped. */
  ending: boolean;
}

/** Also signals its children, such as wrangler's workerd: each part has its own process group. */
function signalGroup({ pid, running }: RunningProcess, signal: NodeJS.Signals): void {
  if (running && pid > 0) process.kill(-pid, signal);
}

export function createParts(logs: string, onStarted: (process: RunningProcess, command: string) => void): Parts {
  const parts = new Map<string, Part>();
  const last: (() => Promise<void>)[] = [];
  const died = Promise.withResolvers<RunningProcess>();
  let stopped: Promise<void> | undefined;

  function watch(part: Part): void {
    const { process } = part;
    onStarted(process, part.command);
    void process.exited.then(() => part.process === process && !part.ending && died.resolve(process));
  }
  function add(process: RunningProcess, command: string, again: () => Promise<RunningProcess>): void {
    const part = { process, command, again, frozen: false, ending: false };
    parts.set(process.name, part);
    watch(part);
  }

  function thaw(part: Part): void {
    if (part.frozen) signalGroup(part.process, "SIGCONT");
    part.frozen = false;
  }
  async function end(part: Part): Promise<void> {
    part.ending = true;
    // A frozen process does not receive SIGTERM.
    thaw(part);
    await part.process.stop();
  }
  async function begin(part: Part): Promise<void> {
    if (part.process.running) return thaw(part);
    part.process = await part.again();
    part.ending = false;
    watch(part);
  }

  const actions = {
    stop: end,
    start: begin,
    async restart(part: Part) {
      await end(part);
      await begin(part);
    },
    async kill(part: Part) {
      part.ending = true;
      part.frozen = false;
      signalGroup(part.process, "SIGKILL");
      await part.process.exited;
    },
    async freeze(part: Part) {
      signalGroup(part.process, "SIGSTOP");
      part.frozen = part.process.running;
    },
    async thaw(part: Part) {
      thaw(part);
    },
  };
  function partOf(name: string): Part {
    const part = parts.get(name);
    if (!part) throw new Error(`no part is called ${name}`);
    return part;
  }

  async function stop(): Promise<void> {
    const failed: unknown[] = [];
    const tasks = [...[...parts.values()].toReversed().map((part) => () => end(part)), ...last];
    for (const task of tasks) await task().catch((error: unknown) => failed.push(error));
    if (failed.length > 0) throw new AggregateError(failed, "not everything could be stopped");
  }

  return {
    add,
    async start({ env, readyWhen, readyWithinMs, ...options }) {
      const output = join(logs, `${options.name}.log`);
      // LOG_FILE would duplicate every line: the output is already captured.
      const given = { ...options, output, env: { ...env, LOG_FILE: undefined } };
      const ready = { readyWhen, ...(readyWithinMs !== undefined && { readyWithinMs }) };
      // On a restart, other parts may be stopped on purpose: it need not become healthy.
      add(await startProcess({ ...given, ...ready }), options.script, () => startProcess(given));
    },
    names: () => [...parts.keys()],
    state(name) {
      const { process, frozen } = partOf(name);
      return !process.running ? "stopped" : frozen ? "frozen" : "running";
    },
    act: (name, action) => actions[action](partOf(name)),
    died: died.promise,
    atTheEnd: (task) => void last.push(task),
    stop: () => (stopped ??= stop()),
  };
}
