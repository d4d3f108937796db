import type { Schedule } from "./plan/schedule.ts";
import type { Steps } from "./plan/steps.ts";

export type ToShard =
  | {
      what: "seeds";
      from: number;
      count: number;
      /** The schedules for these steps and faults come first. */
      near?: readonly string[];
      stopAtFailure: boolean;
      shrink: boolean;
    }
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
      /** What this process and its Redis took since the last such message, or since they started, ms. */
      cpuMs: number;
      /** Each with the seed of the run that was the first to take it. */
      steps: [step: string, seed: number][];
      struck: [pair: string, times: number][];
    }
  | { what: "broken"; reason: string };
