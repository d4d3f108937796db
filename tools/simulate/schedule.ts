import { CHARACTERS, type CharacterName } from "../simulator/characters.ts";
import { type PlannedFault, planFaults } from "./faults.ts";
import { mixed } from "./roll.ts";
import { type PlannedCommand, type PlannedEvent, planCommands, planEvents } from "./workload.ts";

/** All that a run depends on, beside the code: the same schedule gives the same run, byte for byte. */
export interface Schedule {
  /** Decides on every delay, and on whatever else is left to chance. */
  seed: number;
  cad: CharacterName;
  workers: 1 | 2;
  /** How many services get the CAD's events; 0 if it is not there. */
  services?: number;
  commands: readonly PlannedCommand[];
  /** Of the CAD itself. */
  events: readonly PlannedEvent[];
  faults: readonly PlannedFault[];
}

const MOST_FAULTS = 4;
const SERVICES = [0, 0, 1, 1, 2];

/** @param steps what a run without faults takes, and how often */
export function planSchedule(seed: number, steps: ReadonlyMap<string, number>): Schedule {
  return { ...calmSchedule(seed), faults: planFaults(seed, steps, MOST_FAULTS) };
}

/** The same without faults. */
export const calmSchedule = (seed: number): Schedule => ({
  seed,
  cad: CHARACTERS[mixed(seed, "cad", 0) < 0.5 ? 0 : 1] ?? "legacy",
  workers: mixed(seed, "workers", 0) < 0.3 ? 1 : 2,
  services: SERVICES[Math.floor(mixed(seed, "services", 0) * SERVICES.length)] ?? 0,
  commands: planCommands(seed),
  events: planEvents(seed),
  faults: [],
});
