import nodeCrypto from "node:crypto";
import { EventEmitter } from "node:events";
import nodeHttp from "node:http";
import { syncBuiltinESMExports } from "node:module";
import nodePerf from "node:perf_hooks";
import nodeTimers from "node:timers/promises";
import { currentProcess, type Process, type Scheduled } from "./world.ts";

/**
 * Gives the code of a simulated process a simulated clock, timers and chance, and leaves everything else in this process alone:
 * each of these functions asks first whose code calls it.
 */
export function simulateGlobals(): void {
  simulateTimers();
  simulateClock();
  simulateChance();
  simulateServers();
  simulateMeasures();
  syncBuiltinESMExports();
}

/** What setTimeout answers. */
class Timer {
  scheduled: Scheduled | undefined;
  ref = () => this;
  unref = () => this;
  hasRef = () => true;
  close = () => (this.scheduled?.cancel(), this);
}

const timer = (process: Process, kind: string, ms: number, run: () => void): Timer => {
  const made = new Timer();
  made.scheduled = process.world.after(Math.max(kind === "setImmediate" ? 0 : 1, ms || 0), "", process, run);
  return made;
};

const clear = (original: (timer?: never) => void) => (it?: unknown) => {
  if (it instanceof Timer) it.close();
  else original(it as never);
};

function simulateTimers(): void {
  const real = { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate };
  type Run = (...args: unknown[]) => void;
  const replaced = {
    setTimeout(run: Run, ms = 0, ...args: unknown[]) {
      const process = currentProcess();
      return process ? timer(process, "setTimeout", ms, () => run(...args)) : real.setTimeout(run, ms, ...args);
    },
    setInterval(run: Run, ms = 0, ...args: unknown[]) {
      const process = currentProcess();
      if (!process) return real.setInterval(run, ms, ...args);
      const made = new Timer();
      const again = () => {
        made.scheduled = process.world.after(Math.max(1, ms), "", process, () => {
          again();
          run(...args);
        });
      };
      again();
      return made;
    },
    setImmediate(run: Run, ...args: unknown[]) {
      const process = currentProcess();
      return process ? timer(process, "setImmediate", 0, () => run(...args)) : real.setImmediate(run, ...args);
    },
    clearTimeout: clear(real.clearTimeout),
    clearInterval: clear(real.clearInterval),
    clearImmediate: clear(real.clearImmediate),
  };
  Object.assign(globalThis, replaced);

  const nextTurn = nodeTimers.setImmediate;
  Object.assign(nodeTimers, {
    setImmediate: (value?: unknown) =>
      currentProcess() ? new Promise((resolve) => replaced.setImmediate(() => resolve(value))) : nextTurn(value),
  });
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (ms) => {
    if (!currentProcess()) return timeout(ms);
    const controller = new AbortController();
    replaced.setTimeout(() => controller.abort(new DOMException("The operation timed out", "TimeoutError")), ms);
    return controller.signal;
  };
}

function simulateClock(): void {
  const monotonic = performance.now.bind(performance);
  performance.now = () => currentProcess()?.world.now ?? monotonic();
  const wall = Date.now.bind(Date);
  const now = () => currentProcess()?.world.epochMs() ?? wall();
  const RealDate = Date;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: unknown[], newTarget) =>
      Reflect.construct(target, args.length > 0 ? args : [now()], newTarget) as object,
    apply: () => new RealDate(now()).toString(),
    get: (target, name) => (name === "now" ? now : (Reflect.get(target, name) as unknown)),
  });
}

function simulateChance(): void {
  const chance = Math.random;
  const random = () => {
    const process = currentProcess();
    return process ? process.world.roll(`random of ${process.name}`) : chance();
  };
  Math.random = random;
  const real = nodeCrypto.randomUUID;
  const uuid = ((options) => (currentProcess() ? simulatedUuid(random) : real(options))) as typeof real;
  Object.assign(nodeCrypto, { randomUUID: uuid });
  Object.defineProperty(globalThis.crypto, "randomUUID", { value: uuid, configurable: true });
}

/** A server that nobody can reach: nobody asks a simulated process how it is. */
class DeafServer extends EventEmitter {
  listen(...args: unknown[]): void {
    for (const arg of args) if (typeof arg === "function") (arg as () => void)();
  }
  address = () => ({ port: 0 });
  close = (done?: () => void) => done?.();
  closeAllConnections = () => undefined;
}

function simulateServers(): void {
  const { createServer } = nodeHttp;
  const replaced = (...args: never[]) => (currentProcess() ? new DeafServer() : createServer(...args));
  Object.assign(nodeHttp, { createServer: replaced });
}

/** The event loop is this process's own: its delays say nothing of a simulated one. */
function simulateMeasures(): void {
  const { monitorEventLoopDelay } = nodePerf;
  const nothing = { enable: () => true, disable: () => true, percentile: () => 0, reset: () => undefined, max: 0 };
  const replaced = (...args: Parameters<typeof monitorEventLoopDelay>) =>
    currentProcess() ? nothing : monitorEventLoopDelay(...args);
  Object.assign(nodePerf, { monitorEventLoopDelay: replaced });
}

function simulatedUuid(random: () => number): `${string}-${string}-${string}-${string}-${string}` {
  const hex = (digits: number) => Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join("");
  return `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`;
}
