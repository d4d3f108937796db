import type { Candidate } from "./circuit.ts";

/**
 * Whether this CAD echoes an event. One that it never echoes is no outage.
 *
 * | state | event | next |
 * | --- | --- | --- |
 * | expected: its echo is waited for | missed while others were answered | unechoed once missed for enough keys, else expected |
 * | unechoed: waited for briefly, never resent, no evidence of an outage | proved | expected |
 */
export interface EchoHabit {
  readonly is: "expected" | "unechoed";
  /** Whether this CAD ever echoed it. */
  readonly answered: boolean;
  /** The first keys of what was missed while others were answered, since it was last echoed. */
  readonly missed: ReadonlySet<string>;
  readonly count: number;
  /** When the first of them was missed, ms. */
  readonly since: number;
}

export type EchoHabits = ReadonlyMap<string, EchoHabit>;

/** For how many keys an event must be missed while others are answered until it counts as never echoed. */
const UNECHOED_KEYS = 5;

const NEW: EchoHabit = { is: "expected", answered: false, missed: new Set(), count: 0, since: 0 };
const ECHOED: EchoHabit = { ...NEW, answered: true };

export function afterEcho(habits: EchoHabits, event: string): EchoHabits {
  const habit = habits.get(event);
  return habit?.answered && habit.missed.size === 0 ? habits : new Map(habits).set(event, ECHOED);
}

/** Once this CAD has echoed the event, only a miss about `known` keys counts: others' ids may be unknown to it. */
export function afterMissedEcho(
  habits: EchoHabits,
  { command, known, now }: { command: Candidate; known: boolean; now: number },
): EchoHabits {
  if (command.effect === "adds") return habits;
  const habit = habits.get(command.event) ?? NEW;
  if (habit.answered && !known) return habits;
  const key = command.keys[0] ?? command.id;
  const missed = habit.missed.size >= UNECHOED_KEYS ? habit.missed : new Set([...habit.missed, key]);
  return new Map(habits).set(command.event, {
    ...habit,
    is: missed.size >= UNECHOED_KEYS ? "unechoed" : "expected",
    missed,
    count: habit.count + 1,
    since: habit.count === 0 ? now : habit.since,
  });
}
