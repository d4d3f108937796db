import { nowMs } from "../measure/clock.ts";

/** Delay of each event from its due time to its arrival, ms, by receiver. */
export interface EventTimes {
  took: Record<string, number[]>;
  /** Time of the first and the last arrival. */
  firstMs: number;
  lastMs: number;
}

/** The requests accepted by a process that receives events. */
export type TakerQuestions = {
  /** Number of arrivals since `forget`. */
  count: { takes: null; answers: number };
  times: { takes: null; answers: EventTimes };
  forget: { takes: null; answers: null };
};

/** Records when events arrive. */
export function createEventClock() {
  let times: EventTimes = { took: {}, firstMs: 0, lastMs: 0 };
  let count = 0;
  return {
    came(who: string, dueMs: number): void {
      const now = nowMs();
      if (count === 0) times.firstMs = now;
      times.lastMs = now;
      count += 1;
      (times.took[who] ??= []).push(now - dueMs);
    },
    answers: {
      count: () => count,
      times: () => times,
      forget() {
        times = { took: {}, firstMs: 0, lastMs: 0 };
        count = 0;
        return null;
      },
    },
  };
}
