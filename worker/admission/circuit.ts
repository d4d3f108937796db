import { backoffMs } from "../../shared/util/backoff.ts";

/**
 * A circuit lets commands through or makes them wait.
 *
 * | state | event | next |
 * | --- | --- | --- |
 * | closed: commands pass | missed | open once enough voters missed since the last proof, else closed |
 * | | proved | closed, without misses |
 * | open: commands wait, a few are sent as probes | proved | closed, without misses |
 * | | missed after `probeAt` | open, with a longer wait until the next probes |
 * | | reconnected | open, with probes at once |
 *
 * Voters make it fair. A miss about units and incidents that were all answered before votes for the first of them, any other miss for
 * its caller alone: one caller with unknown ids opens its own circuit and nobody else's.
 */
export interface Circuit {
  readonly phase: "closed" | "open";
  /** Since the last proof, the oldest first; the newest MAX_MISSES of them. */
  readonly misses: readonly Miss[];
  /** How often the connection broke over a lone suspect since the last proof. */
  readonly breaks: number;
  /** How often in a row the probes failed, and when the next may go, ms. */
  readonly trips: number;
  readonly probeAt: number;
}

/** Whether a command sets a value, which can be repeated, or adds something, which cannot. */
export type Effect = "sets" | "adds";

/** What is known of a command once its record was read. */
export interface Candidate {
  readonly id: string;
  readonly event: string;
  readonly effect: Effect;
  readonly keys: readonly string[];
  readonly caller: string;
}

export interface Miss {
  readonly command: Candidate;
  /** All its units and incidents were answered by this CAD before. */
  readonly known: boolean;
  /** Others of its kind were answered since it was first sent. */
  readonly alone: boolean;
  /** When it was missed, ms. */
  readonly at: number;
}

/** When a circuit trips: `roll`, 0 to 1, spreads the time of the next probes. */
export interface Moment {
  readonly now: number;
  readonly roll: number;
}

/** From how many voters a circuit opens. */
const VOTERS = 3;
/** When the next probes may go: from, to, ms. */
const PROBE_FROM_MS = 1000;
const PROBE_TO_MS = 5000;
const MAX_MISSES = 1000;

export const CLOSED: Circuit = { phase: "closed", misses: [], breaks: 0, trips: 0, probeAt: 0 };

/** The circuit after a miss. `opens` says whether this number of misses opens a closed one. */
export function afterMiss(
  circuit: Circuit,
  miss: Miss,
  opens: (misses: readonly Miss[]) => boolean,
  moment: Moment,
): Circuit {
  const next = { ...circuit, misses: [...circuit.misses, miss].slice(-MAX_MISSES) };
  if (circuit.phase === "closed") return opens(next.misses) ? trip(next, moment) : next;
  // Answers to what was sent before it opened arrive afterwards, and are no reason to wait longer.
  return moment.now >= circuit.probeAt ? trip(next, moment) : next;
}

function trip(circuit: Circuit, { now, roll }: Moment): Circuit {
  const trips = circuit.trips + 1;
  return { ...circuit, phase: "open", trips, probeAt: now + backoffMs(trips, PROBE_FROM_MS, PROBE_TO_MS, () => roll) };
}

/** A new connection may lead to a CAD that is well again: probes go at once. */
export const afterReconnect = (circuit: Circuit, now: number): Circuit =>
  circuit.phase === "open" ? { ...circuit, trips: 0, probeAt: Math.min(circuit.probeAt, now) } : circuit;

/** Enough voters; or one command about what was answered before, missed again with nothing answered in between. */
export function opensForEverybody(misses: readonly Miss[]): boolean {
  const voters = new Set(
    misses.map(({ known, command }) => (known ? `key ${command.keys[0]}` : `caller ${command.caller}`)),
  );
  if (voters.size >= VOTERS) return true;
  const newest = misses.at(-1);
  return Boolean(newest?.known && misses.filter(({ command }) => command.id === newest.command.id).length > 1);
}

/** One caller's: misses that have no unit or incident in common. One unit that the CAD does not know opens nothing. */
export function opensForCaller(misses: readonly Miss[]): boolean {
  const seen = new Set<string>();
  let disjoint = 0;
  for (const { command } of misses) {
    if (!command.keys.some((key) => seen.has(key))) disjoint += 1;
    for (const key of command.keys) seen.add(key);
  }
  return disjoint >= VOTERS;
}

/** True if something was missed about one of these keys since the last proof. */
export const isSilent = ({ misses }: Circuit, keys: readonly string[]): boolean =>
  misses.some((miss) => miss.command.keys.some((key) => keys.includes(key)));
