import { BoundedMap } from "../../shared/util/bounded-map.ts";
import { type AdmissionState, blockedBy, isUnechoed } from "./admission-state.ts";
import { type Candidate, isSilent } from "./circuit.ts";

/** Maximum number of probes in flight: of all callers, or of one caller whose own circuit is open. */
const PROBES = 3;
/** How many of them may be about units and incidents that were missed before: others are tried first. */
const SILENT_PROBES = 1;
/** For how many callers it is remembered when one of theirs was last sent. */
const MAX_CALLERS = 100_000;

export interface ProbeCount {
  readonly all: number;
  readonly silent: number;
}

/** A command that is sent to find out whether the CAD answers again. */
export interface Probe {
  readonly command: Candidate;
  /** The circuit that it probes: its count is bounded for each. */
  readonly slot: string;
  /** It is about a unit or incident that was missed before. */
  readonly silent: boolean;
}

/** What the choice depends on. */
export interface ProbeView {
  readonly state: AdmissionState;
  readonly now: number;
  /** Probes in flight, for each slot. */
  readonly inFlight: ReadonlyMap<string, ProbeCount>;
  /** The number of the last probe of a caller; 0 if there was none. */
  turnOf(caller: string): number;
  readonly lastTurn: number;
  isKnown(command: Candidate): boolean;
}

export interface ProbeChoice {
  /** In the order in which they are to be sent. */
  readonly probes: readonly Probe[];
  /** When the next ones may go, ms; Infinity if nothing waits for that. */
  readonly nextAt: number;
}

const NONE: ProbeCount = { all: 0, silent: 0 };

/** Pure. Chooses which blocked commands to send: callers in turn, and first those of which most is to be expected. */
export function chooseProbes(blocked: readonly Candidate[], view: ProbeView): ProbeChoice {
  const found = blocked.flatMap((command) => toOption(command, view) ?? []);
  const later = found.filter(({ mayGoAt }) => mayGoAt > view.now);
  const nextAt = later.reduce((soonest, { mayGoAt }) => Math.min(soonest, mayGoAt), Infinity);
  const options = found.filter(({ mayGoAt }) => mayGoAt <= view.now);
  const counts = new Map(view.inFlight);
  const probes: Probe[] = [];
  for (let turn = view.lastTurn + 1; ; turn += 1) {
    const [best] = options.filter((option) => isFree(option, counts)).toSorted((a, b) => compare(a.rank, b.rank));
    if (!best) return { probes, nextAt };
    options.splice(options.indexOf(best), 1);
    const { command, slot, silent } = best;
    probes.push({ command, slot, silent });
    counts.set(slot, counted(counts.get(slot), silent, 1));
    for (const option of options) if (option.command.caller === command.caller) option.rank[TURN] = turn;
  }
}

interface Option extends Probe {
  /** The lowest goes first, compared number by number. */
  readonly rank: number[];
  readonly mayGoAt: number;
}

/** Which number of the rank is the caller's turn. */
const TURN = 2;

function toOption(command: Candidate, { state, turnOf, isKnown }: ProbeView): Option | undefined {
  const blocked = blockedBy(state, command);
  if (!blocked) return undefined;
  const { circuit, of } = blocked;
  // A caller of whom nothing was missed yet is tried at once.
  const isTried = of !== "everybody" || circuit.misses.some((miss) => miss.command.caller === command.caller);
  const silent = isSilent(circuit, command.keys);
  return {
    command,
    slot: of === "caller" ? `${command.effect} ${command.caller}` : of === "everybody" ? command.effect : of,
    silent,
    rank: [
      isUnechoed(state, command.event) ? 1 : 0,
      isTried ? 1 : 0,
      turnOf(command.caller),
      isKnown(command) ? 0 : 1,
      silent ? 1 : 0,
    ],
    mayGoAt: isTried ? circuit.probeAt : 0,
  };
}

function isFree({ slot, silent }: Probe, counts: ReadonlyMap<string, ProbeCount>): boolean {
  const count = counts.get(slot) ?? NONE;
  return count.all < PROBES && (!silent || count.silent < SILENT_PROBES);
}

const counted = (count: ProbeCount = NONE, silent: boolean, by: 1 | -1): ProbeCount => ({
  all: count.all + by,
  silent: count.silent + (silent ? by : 0),
});

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, mine] of a.entries()) if (mine !== (b[i] ?? 0)) return mine - (b[i] ?? 0);
  return 0;
}

/** The probes in flight, and whose turn it is. */
export class Probes {
  readonly #inFlight = new Map<string, ProbeCount>();
  readonly #turns = new BoundedMap<string, number>(MAX_CALLERS);
  #lastTurn = 0;

  get size(): number {
    return this.#inFlight.size;
  }

  choose(blocked: readonly Candidate[], view: Pick<ProbeView, "state" | "now" | "isKnown">): ProbeChoice {
    const turnOf = (caller: string) => this.#turns.get(caller) ?? 0;
    return chooseProbes(blocked, { ...view, inFlight: this.#inFlight, turnOf, lastTurn: this.#lastTurn });
  }

  add({ slot, silent, command }: Probe): void {
    this.#inFlight.set(slot, counted(this.#inFlight.get(slot), silent, 1));
    this.#lastTurn += 1;
    this.#turns.set(command.caller, this.#lastTurn);
  }

  remove({ slot, silent }: Probe): void {
    const count = counted(this.#inFlight.get(slot), silent, -1);
    if (count.all > 0) this.#inFlight.set(slot, count);
    else this.#inFlight.delete(slot);
  }
}
