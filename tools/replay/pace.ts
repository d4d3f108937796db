import { setTimeout as sleep } from "node:timers/promises";

/** How fast the day goes by: as many times real time, or as fast as it will go. */
export type Speed = number | "max";

export function readSpeed(value: string): Speed | undefined {
  if (value === "max") return "max";
  const speed = Number(value);
  return value.trim() !== "" && Number.isFinite(speed) && speed > 0 ? speed : undefined;
}

/** A clock that starts now, at the time `from` of the day that is replayed. `until` rejects if the signal aborts. */
export function startClock(from: number, speed: Speed, signal: AbortSignal): { until(at: number): Promise<void> } {
  const began = performance.now();
  return {
    async until(at) {
      if (speed === "max") return;
      const due = began + (at - from) / speed;
      // A timer's longest is 2^31 ms.
      for (let left = due - performance.now(); left > 0; left = due - performance.now()) {
        await sleep(Math.min(left, 2 ** 31 - 1), undefined, { signal });
      }
    },
  };
}
