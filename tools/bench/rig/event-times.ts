import { nowMs } from "../measure/clock.ts";

/** How long after each event was due it came, ms, by who took it. */
export interface EventTimes {
  took: Record<string, number[]>;
  /** When the first and the last came. */
  firstMs: number;
  lastMs: number;
}

/** What a process that takes events may be asked. */
export type TakerQuestions = {
  /** How many have come since `forget`. */
  count: { takes: null; answers: number };
  times: { takes: null; answers: EventTimes };
  forget: { takes: null; answers: null };
};

/** Notes when events come. */
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
