import { sleep } from "../../../shared/util/sleep.ts";
import { BenchError } from "./bench-error.ts";

/** Polls every `everyMs` until the condition holds; throws a BenchError naming it. An error of `isSo` counts as false. */
export async function until(what: string, isSo: () => Promise<boolean>, withinMs: number, everyMs = 10): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > deadline) throw new BenchError(`not within ${withinMs / 1000} s: ${what}`);
    await sleep(everyMs);
  }
}
