import { setTimeout as sleep } from "node:timers/promises";

/** Replay speed: a multiple of real time, or as fast as possible. */
export type Speed = number | "max";

export function readSpeed(value: string): Speed | undefined {
  if (value === "max") return "max";
  const speed = Number(value);
  return value.trim() !== "" && Number.isFinite(speed) && speed > 0 ? speed : undefined;
}

/** A clock that starts now, at time `from` of the replayed day. `until` rejects if the signal aborts. */
export function startClock(from: number, speed: Speed, signal: AbortSignal): { until(at: number): Promise<void> } {
  const began = performance.now();
  return {
    async until(at) {
      if (speed === "max") return;
      const due = began + (at - from) / speed;
      // A timer's maximum is 2^31 ms.
      for (let left = due - performance.now(); left > 0; left = due - performance.now()) {
        await sleep(Math.min(left, 2 ** 31 - 1), undefined, { signal });
      }
    },
  };
}
