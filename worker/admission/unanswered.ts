import type { AdmissionState } from "./admission-state.ts";

/** Why commands wait for confirmations that do not come. */
export interface Unanswered {
  /** Whether all commands wait, or only those of single callers. */
  scope: "everybody" | "callers";
  /** When the first of them was missed, ms since 1970. */
  since: number;
  /** How many were missed of each event. */
  events: Readonly<Record<string, number>>;
  /** None of these events was ever echoed by this CAD: it may store them all the same. */
  neverEchoed: readonly string[];
  waiting: number;
}

export interface Unechoed {
  event: string;
  /** ms since 1970 */
  since: number;
  /** How many were missed since. */
  count: number;
}

/** For how long nothing of its kind was answered when a miss is reported that opens no circuit, ms. */
const SILENT_MS = 3000;
/** How long it is reported after the last miss if no command waits: the next one is sent at once, ms. */
const REPORTED_MS = 3000;

/**
 * Pure. Undefined while commands are confirmed. What opens no circuit yet is reported too: a miss about what was answered before at
 * once, any other command that sets a value once nothing was answered for a while.
 *
 * @param probes how many are in flight
 * @param now by the process's clock, ms
 */
export function findUnanswered(
  { everybody, callers, events: habits }: AdmissionState,
  { waiting, probes, now, toEpoch }: { waiting: number; probes: number; now: number; toEpoch(at: number): number },
): Unanswered | undefined {
  const misses = [...everybody.sets.misses, ...everybody.adds.misses];
  const first = misses.reduce((at, miss) => Math.min(at, miss.at), Infinity);
  const last = misses.reduce((at, miss) => Math.max(at, miss.at), -Infinity);
  const isOpen = everybody.sets.phase === "open" || everybody.adds.phase === "open";
  const isOpenForCaller = [...callers.sets.values(), ...callers.adds.values()].some(({ phase }) => phase === "open");
  const isSilent = everybody.sets.misses.some(({ alone, at }) => !alone && now - at > SILENT_MS);
  const isSuspected = isSilent || misses.some(({ known }) => known);
  if (misses.length === 0 || !(isOpen || isOpenForCaller || isSuspected)) return undefined;
  const isQuiet = waiting === 0 && probes === 0 && now - last > REPORTED_MS;
  if (isQuiet && !isSuspected) return undefined;
  const events: Record<string, number> = {};
  for (const { command } of misses) events[command.event] = (events[command.event] ?? 0) + 1;
  return {
    scope: isOpen || isSuspected ? "everybody" : "callers",
    since: toEpoch(first),
    events,
    neverEchoed: Object.keys(events).filter((event) => habits.get(event)?.answered !== true),
    waiting,
  };
}

/** Pure. The events that this CAD never echoes. */
export const findUnechoed = ({ events }: AdmissionState, toEpoch: (at: number) => number): Unechoed[] =>
  [...events].flatMap(([event, habit]) =>
    habit.is === "unechoed" ? [{ event, since: toEpoch(habit.since), count: habit.count }] : [],
  );

/** Such as: 12 unit:status, 3 unit:location since 2026-01-31T22:05:07.000Z. */
export const describeUnanswered = ({ events, since }: Pick<Unanswered, "events" | "since">): string =>
  `${Object.entries(events)
    .map(([event, count]) => `${count} ${event}`)
    .join(", ")} since ${new Date(since).toISOString()}`;
