import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const END_WITHIN_MS = 5_000;

/** The command line of a process, undefined if there is none (a zombie has none). From /proc, or from ps elsewhere. */
export function commandLineOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim() || undefined;
  } catch {
    if (process.platform === "linux") return undefined;
    const ps = spawnSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8", timeout: 5_000 });
    return ps.stdout?.trim() || undefined;
  }
}

/** Kills a process left behind by an earlier run, if its command line still matches. */
export async function endLeftover(pid: number, command: string): Promise<boolean> {
  const there = () => commandLineOf(pid)?.includes(command) === true;
  if (!there()) return false;
  process.kill(pid, "SIGTERM");
  for (const deadline = Date.now() + END_WITHIN_MS; there() && Date.now() < deadline;) await sleep(50);
  if (there()) process.kill(pid, "SIGKILL");
  return true;
}
