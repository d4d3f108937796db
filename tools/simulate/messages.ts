import type { Schedule } from "./plan/schedule.ts";
import type { Steps } from "./plan/steps.ts";

export type ToShard =
  | { what: "seeds"; from: number; count: number; stopAtFailure: boolean; shrink: boolean }
  | { what: "schedule"; schedule: Schedule; lines: boolean }
  | { what: "survey"; from: number; count: number };

/** A schedule under which something goes wrong. */
export interface Failure {
  seed: number;
  violations: string[];
  /** The smallest that was found to fail as well. */
  schedule: Schedule;
}

export type FromShard =
  | { what: "ready" }
  | { what: "failure"; failure: Failure }
  | { what: "line"; line: string }
  | { what: "surveyed"; steps: Steps }
  | {
      what: "done";
      schedules: number;
      failures: number;
      violations: string[];
      digests: string[];
      simulatedMs: number;
      /** Each with the seed of the run that was the first to take it. */
      steps: [step: string, seed: number][];
      struck: [pair: string, times: number][];
    }
  | { what: "broken"; reason: string };
