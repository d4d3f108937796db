import { spawn } from "node:child_process";
import { once } from "node:events";
import { withDeadline } from "../../../shared/util/sleep.ts";

const ATTACH_WITHIN_MS = 5000;
const DETACH_WITHIN_MS = 10_000;

/**
 * Counts the system calls of a process and all its threads with strace, which slows it down severalfold: measure nothing
 * else meanwhile. Returns undefined if strace is missing or may not attach.
 */
export async function countSystemCalls(pid: number): Promise<(() => Promise<number | undefined>) | undefined> {
  const strace = spawn("strace", ["-f", "-c", "-U", "calls,name", "-p", String(pid)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  const attached = Promise.withResolvers<boolean>();
  strace.on("error", () => attached.resolve(false));
  const exited = once(strace, "exit").catch(() => undefined);
  void exited.then(() => attached.resolve(false));
  strace.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    if (/attached/.test(said)) attached.resolve(true);
  });
  if (!(await withDeadline(attached.promise, ATTACH_WITHIN_MS, "attaching strace").catch(() => false))) {
    strace.kill("SIGKILL");
    return undefined;
  }
  return async () => {
    strace.kill("SIGINT");
    await withDeadline(exited, DETACH_WITHIN_MS, "strace").catch(() => strace.kill("SIGKILL"));
    return totalOf(said);
  };
}

/** Reads the total from the last line of strace's table. */
function totalOf(said: string): number | undefined {
  const total = /^\s*(\d+)\s+total\s*$/m.exec(said)?.[1];
  return total === undefined ? undefined : Number(total);
}
