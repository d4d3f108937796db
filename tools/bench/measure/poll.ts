import { sleep } from "../../../shared/util/sleep.ts";
import { BenchError } from "./bench-error.ts";

/** Asks every `everyMs` until it is so; throws a BenchError with what it waited for. A throw of `isSo` is a no. */
export async function until(what: string, isSo: () => Promise<boolean>, withinMs: number, everyMs = 10): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > deadline) throw new BenchError(`not within ${withinMs / 1000} s: ${what}`);
    await sleep(everyMs);
  }
}
