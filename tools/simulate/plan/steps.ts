import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { PlannedFault } from "./faults.ts";

/** A run that takes a step which not every run takes. */
export interface Seen {
  seed: number;
  /** None: it takes it without any. */
  faults?: readonly PlannedFault[];
  /** How often it takes it. */
  times: number;
}

/** Which steps there are, as `npm run simulate -- --survey` has found them: schedules are planned from that, and from their seed. */
export interface Steps {
  /** Those of runs without faults: how often one of them took it at least and at most; `seen` if some did not take it at all. */
  calm: Readonly<Record<string, { least: number; most: number; seen?: readonly Seen[] }>>;
  /** Those that only faults bring about. */
  rare: Readonly<Record<string, readonly Seen[]>>;
}

export const STEPS_FILE = join(import.meta.dirname, "steps.json");
export const STEPS = JSON.parse(readFileSync(STEPS_FILE, "utf8")) as Steps;

/** How often a run without faults takes each at most. */
export const MOST: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(STEPS.calm).map(([step, { most }]) => [step, most]),
);
