import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SetupError } from "./setup-error.ts";
import { tailOf } from "./tail.ts";

export interface StartOptions {
  /** Its name in messages. */
  name: string;
  /** File to which its standard output and errors are appended. */
  output: string;
  /** Overrides this process's environment; undefined removes a variable. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Polled until true; an error counts as false. Without it, a started process is ready. */
  readyWhen?: (asked: { pid: number; signal: AbortSignal }) => Promise<boolean>;
  readyWithinMs?: number;
  /** Time from SIGTERM to SIGKILL. */
  stopWithinMs?: number;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  readonly output: string;
  /** Never rejects. */
  readonly exited: Promise<Exit>;
  readonly running: boolean;
  /** No-op if it has ended. */
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL after a while. Idempotent, also after it has ended. */
  stop(): Promise<Exit>;
  /** The last lines of its output. */
  tail(lines?: number): string;
}

const READY_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 12_000;
const ASK_EVERY_MS = 25;
const ASK_WITHIN_MS = 2_000;

/** Killed when this process ends, except by SIGKILL. */
const alive = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of alive) killGroup(child);
});

/** Includes its children: killing only wrangler would leave its workerd behind. */
function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // already ended
  }
}

const ROOT = resolve(import.meta.dirname, "../..");

/** Starts one of this project's scripts, given its path from the root, with the current Node. */
export function startProcess(
  options: StartOptions & { script: string; args?: readonly string[] },
): Promise<RunningProcess> {
  return startProgram({
    ...options,
    command: process.execPath,
    args: [resolve(ROOT, options.script), ...(options.args ?? [])],
  });
}

/**
 * Starts a program and waits until it is ready; otherwise kills it. It has its own process group, so that a Ctrl-C in the
 * terminal does not reach it: the caller stops it, in the right order.
 */
export async function startProgram(
  options: StartOptions & { command: string; args?: readonly string[] },
): Promise<RunningProcess> {
  mkdirSync(dirname(options.output), { recursive: true });
  const output = openSync(options.output, "a");
  const child = spawn(options.command, options.args ?? [], {
    stdio: ["ignore", output, output],
    detached: true,
    env: { ...process.env, ...options.env },
  });
  closeSync(output);
  alive.add(child);
  let exit: Exit | undefined;
  const exited = new Promise<Exit>((done) => {
    const ended = (code: number | null, signal: NodeJS.Signals | null) => {
      alive.delete(child);
      done((exit ??= { code, signal }));
    };
    child.once("exit", ended);
    child.on("error", () => child.pid === undefined && ended(127, null));
  });

  let stopping: Promise<Exit> | undefined;
  const running: RunningProcess = {
    name: options.name,
    pid: child.pid ?? -1,
    output: options.output,
    exited,
    get running() {
      return exit === undefined;
    },
    kill: (signal) => void child.kill(signal),
    stop: () => (stopping ??= stop(child, exited, options.stopWithinMs ?? STOP_WITHIN_MS)),
    tail: (lines) => tailOf(options.output, lines),
  };
  await untilReady(running, options).catch(async (error: unknown) => {
    await running.stop();
    throw error;
  });
  return running;
}

async function stop(child: ChildProcess, exited: Promise<Exit>, withinMs: number): Promise<Exit> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => killGroup(child), withinMs);
  return await exited.finally(() => clearTimeout(timer));
}

async function untilReady(program: RunningProcess, options: StartOptions & { command: string }): Promise<void> {
  const withinMs = options.readyWithinMs ?? READY_WITHIN_MS;
  const deadline = Date.now() + withinMs;
  const fail = (what: string) =>
    new SetupError(`${program.name} ${what}.\n${program.tail()}`, `Its output is in ${program.output}`);
  // One turn of the event loop, so that a missing program has been reported.
  await sleep(0);
  do {
    const exit = program.running ? undefined : await program.exited;
    if (exit?.code === 127 && program.pid === -1) throw fail(`could not be started: ${options.command}`);
    if (exit) throw fail(`ended at once (${howItEnded(exit)})`);
    if (!options.readyWhen) return;
    const ready = await options
      .readyWhen({ pid: program.pid, signal: AbortSignal.timeout(ASK_WITHIN_MS) })
      .catch(() => false);
    if (ready && program.running) return;
    await Promise.race([sleep(ASK_EVERY_MS), program.exited]);
  } while (Date.now() < deadline);
  throw fail(`was not ready within ${withinMs / 1000} s`);
}

export const howItEnded = (exit: Exit): string =>
  exit.signal === null ? `exit code ${exit.code ?? "unknown"}` : `signal ${exit.signal}`;
