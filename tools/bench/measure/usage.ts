import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Resource usage of a process, from Linux's /proc; undefined on other systems. */
const MICROS_PER_TICK = 10_000; // USER_HZ is 100 on every architecture that Node runs on

/** CPU time of all its threads since its start, user and system, in microseconds. */
export const cpuMicros = (pid: number): number | undefined => ticks(pid, 11, 13);

/** The same, including its exited children. */
const withEndedChildren = (pid: number): number | undefined => ticks(pid, 11, 15);

/** Sums fields of /proc/PID/stat, counted from the one after the process's name. */
function ticks(pid: number, from: number, to: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  // The name is in parentheses and may contain spaces.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields?.slice(from, to).reduce((sum, field) => sum + Number(field) * MICROS_PER_TICK, 0);
}

/** Resident memory in MiB. */
export function residentMiB(pid: number): number | undefined {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1];
  return kib === undefined ? undefined : Number(kib) / 1024;
}

/** The CPU time of each named process from now until the returned function is called. */
export function watchCpu<Name extends string>(
  pids: Readonly<Record<Name, number>>,
): () => Record<Name, number | undefined> {
  const names = Object.keys(pids) as Name[];
  const before = new Map(names.map((name) => [name, cpuMicros(pids[name])]));
  return () => {
    const used = names.map((name) => {
      const [from, to] = [before.get(name), cpuMicros(pids[name])];
      return [name, from === undefined || to === undefined ? undefined : to - from] as const;
    });
    return Object.fromEntries(used) as Record<Name, number | undefined>;
  };
}

/**
 * The share of this machine's CPU used by programs outside the bench, from now until the returned function is called:
 * 0 to 1. Above a few percent they affect times and rates too.
 * @param pids the bench's processes, alive at both times
 */
export function watchOthers(pids: readonly number[]): () => number | undefined {
  const began = [allMicros(), performance.now()] as const;
  const own = () => [withEndedChildren(process.pid), ...pids.map(cpuMicros)].reduce(add, 0);
  const ownBefore = own();
  return () => {
    const ownNow = own();
    if (ownNow === undefined || ownBefore === undefined) return undefined;
    const available = (performance.now() - began[1]) * 1000 * cpus().length;
    return Math.max(0, (allMicros() - began[0] - (ownNow - ownBefore)) / available);
  };
}

const add = (sum: number | undefined, more: number | undefined) =>
  sum === undefined || more === undefined ? undefined : sum + more;

/** CPU time of all programs since the machine started. */
const allMicros = (): number =>
  cpus().reduce((sum, { times }) => sum + (times.user + times.nice + times.sys + times.irq) * 1000, 0);

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
