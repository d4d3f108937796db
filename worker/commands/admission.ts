import type { Proof } from "../../shared/commands/proof.ts";
import { BoundedMap } from "../../shared/util/bounded-map.ts";
import {
  type AdmissionState,
  blockedBy,
  type Candidate,
  INITIAL,
  type Input,
  isAllClosed,
  isSilent,
  isUnechoed,
  step,
  type Verdict,
} from "./admission-state.ts";

/** How many probes are on their way at once: for everybody, or for one caller whose own circuit is open. */
const PROBES = 3;
/** How many of them may be about units and incidents that were missed before: others are tried first. */
const SILENT_PROBES = 1;
/**
 * How many commands of one caller are on their way at once that are about a unit or incident of which this CAD never answered
 * anything. Their confirmations may all be missing, and each holds a place for seconds.
 */
const MAX_UNKNOWN = 128;
/** How many suspects are sent one at a time from the first break on; beyond, only those over which it broke again. */
const FEW_SUSPECTS = 32;
/** How many units and incidents are remembered as answered: those of several large agencies. */
const MAX_REMEMBERED = 100_000;
/** How many wait here at most; one for each unit or incident, so that memory does not grow with the backlog. */
const MAX_WAITING = 20_000;
/** How long it is reported as open after the last miss if no command waits: the next one is sent at once, ms. */
const REPORTED_MS = 3000;

/** Leave to send one command. */
export interface Pass {
  /** It is sent to see whether the CAD answers: if the connection breaks, that says nothing of this command. */
  readonly probe: boolean;
  /** Called right before the send. False: it has to wait after all, and is not to be sent. */
  claimed(command: Candidate): boolean;
  /** This CAD never echoes the event: its confirmation is waited for only briefly. */
  brief(): boolean;
  proved(proof: Proof): void;
  missed(): Verdict;
  broke(): Verdict;
  /** Called once, at the end, whatever came of it. */
  leave(): void;
}

/** Why commands wait for confirmations that do not come. */
export interface Unanswered {
  /** Everybody's commands wait, or those of single callers alone. */
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

/** Where commands wait while the CAD cannot take them. Waiting costs no attempt. See admission-state.ts. */
export interface Admission {
  /** A pass, or a promise that resolves when it is worth asking again; undefined if too many wait. */
  enter(id: string): Pass | Promise<void> | undefined;
  /** Every command may be sent now: `enter` answers a pass for each. */
  isWide(): boolean;
  /** As many wait as may: `enter` answers nothing, and those beyond are left in Redis. */
  isFull(): boolean;
  /** Why no command is sent at present, in words for people; undefined if some are. */
  shut(): string | undefined;
  /** The CAD breaks the connection over whatever it is sent. */
  breaksConnection(): boolean;
  unanswered(): Unanswered | undefined;
  unechoed(): Unechoed[];
  /** Something that `notReady` or `connection` depends on has changed. */
  changed(): void;
}

export interface AdmissionOptions {
  /** What the connection waits for; undefined if it can take commands. */
  notReady(): string | undefined;
  /** Which connection this is: a new one may lead to a CAD that is well again. */
  connection(): number;
  /** What a command is about; undefined if its record is gone. */
  read(id: string): Promise<Candidate | undefined>;
  /** How long an answer is waited for, ms. */
  confirmMs: number;
  /** Aborted when the worker stops: then nothing may be sent any more. */
  signal: AbortSignal;
  random: () => number;
}

interface Waiter {
  id: string;
  /** What it is about; "unread" until that is asked for, undefined while it is being read. */
  command: Candidate | "unread" | undefined;
  waits: Promise<void>;
  wake(): void;
}

interface ProbeCount {
  all: number;
  silent: number;
}

const now = () => performance.now();
/**
 * A miss is the command's own only if another was answered that was sent so much later, as a part of the time that an answer is
 * waited for. What was on its way together when a database stopped is no evidence: some of it was answered, and some was not.
 */
const LATER = 0.2;

/** ms since 1970 of a time by the process's clock. */
const epoch = (at: number) => Date.now() - (now() - at);

export function createAdmission(options: AdmissionOptions): Admission {
  const { notReady, signal, random, confirmMs } = options;
  let state: AdmissionState = INITIAL;
  const waiting = new Map<string, Waiter>();
  const granted = new Map<string, Pass>();
  const answered = new BoundedMap<string, "write" | "heard">(MAX_REMEMBERED);
  /** How many were answered so far. */
  let answers = 0;
  /** When the last of those was sent that were answered, of each kind, ms. */
  const answeredUpTo = { sets: -Infinity, adds: -Infinity };
  /** Of each caller, what is on its way about units and incidents that were never answered. */
  const unknown = new Map<string, number>();
  const probes = new Map<string, ProbeCount>();
  /** When a probe of each caller was last sent, to take them in turn. */
  let turns = new Map<string, number>();
  let turn = 0;
  let loneSuspect: string | undefined;
  let seen = options.connection();
  let pumping: NodeJS.Timeout | undefined;

  const isKnown = (command: Candidate) => command.keys.every((key) => answered.get(key) === "write");
  const isHeard = (command: Candidate) => command.keys.every((key) => answered.has(key));

  function feed(input: Input): Verdict {
    const before = state;
    const next = step(state, input);
    state = next.state;
    if (state !== before) schedulePump();
    return next.verdict;
  }

  /** A suspect that is sent alone. Many, as after a CAD was restarted under load, are first sent together once more. */
  function isLone(id: string): boolean {
    const { breaks } = state.suspects.get(id) ?? { breaks: 0 };
    return breaks > (state.suspects.size > FEW_SUSPECTS ? 1 : 0);
  }
  const mustWaitAsSuspect = (id: string) => isLone(id) && loneSuspect !== undefined && loneSuspect !== id;

  /** @param read what it is about, if that is known already: its place among those of its caller is taken at once then */
  function newPass(id: string, read?: Candidate, probe?: { of: string; silent: boolean }): Pass {
    const lone = isLone(id);
    if (lone) loneSuspect = id;
    let before = answers;
    let sentAt = now();
    let command: Candidate | undefined;
    let counted = read && !probe ? takePlace(read) : undefined;
    let left = false;
    const noteAnswer = (kind: keyof typeof answeredUpTo) => {
      answeredUpTo[kind] = Math.max(answeredUpTo[kind], sentAt);
    };
    return {
      probe: probe !== undefined,
      claimed(claimed) {
        if (!probe && counted === undefined && !hasPlace(claimed)) {
          void wait(id, claimed);
          return false;
        }
        if (!probe) counted ??= takePlace(claimed);
        command = claimed;
        before = answers;
        sentAt = now();
        return true;
      },
      brief: () => command !== undefined && isUnechoed(state, command.event),
      proved(proof) {
        if (!command) return;
        answers += 1;
        if (proof !== "received") noteAnswer("adds");
        const wrote = proof === "echoed" || (proof === "acknowledged" && command.effect === "sets");
        if (wrote) noteAnswer("sets");
        for (const key of command.keys) if (wrote || !answered.has(key)) answered.set(key, wrote ? "write" : "heard");
        feed({ type: "proved", command, proof: wrote ? "write" : proof === "received" ? "receipt" : "relay" });
      },
      missed() {
        if (!command) return "none";
        const known = isKnown(command);
        answers += 1;
        const isAlone = answeredUpTo[command.effect] >= sentAt + LATER * confirmMs;
        return feed({ type: "missed", command, known, answered: isAlone, now: now(), roll: random() });
      },
      broke() {
        if (!command) return "none";
        const more = { alone: lone, probe: probe !== undefined, answered: answers !== before };
        return feed({ type: "broke", command, ...more, now: now(), roll: random() });
      },
      leave() {
        if (left) return;
        left = true;
        if (lone && loneSuspect === id) loneSuspect = undefined;
        if (counted !== undefined) countDown(unknown, counted);
        if (probe) leaveProbe(probe);
        if (waiting.size > 0) schedulePump();
      },
    };
  }

  function leaveProbe({ of, silent }: { of: string; silent: boolean }): void {
    const count = probes.get(of);
    if (!count) return;
    count.all -= 1;
    if (silent) count.silent -= 1;
    if (count.all === 0) probes.delete(of);
  }

  function wait(id: string, command: Waiter["command"]): Promise<void> {
    const present = waiting.get(id);
    if (present) return present.waits;
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.set(id, { id, command, waits: promise, wake: resolve });
    schedulePump();
    return promise;
  }

  function wake(waiter: Waiter, pass: Pass | undefined): void {
    waiting.delete(waiter.id);
    if (pass) granted.set(waiter.id, pass);
    waiter.wake();
  }

  /** Once for everything that changes in one turn of the event loop, and again when the next probes may go. */
  function schedulePump(inMs = 0): void {
    if (inMs === 0) {
      clearTimeout(pumping);
      pumping = setTimeout(pump, 0);
    } else pumping ??= setTimeout(pump, inMs).unref();
  }

  function pump(): void {
    clearTimeout(pumping);
    pumping = undefined;
    if (signal.aborted) for (const waiter of waiting.values()) wake(waiter, undefined);
    noteConnection();
    if (notReady() !== undefined) return;
    const blocked: { waiter: Waiter; command: Candidate }[] = [];
    const isOpen = isAllClosed(state);
    for (const waiter of waiting.values()) {
      if (mustWaitAsSuspect(waiter.id)) continue;
      const { command } = waiter;
      if (isOpen && (command === "unread" || command === undefined)) wake(waiter, newPass(waiter.id));
      else if (command === "unread") void readCommand(waiter);
      else if (command && blockedBy(state, command)) blocked.push({ waiter, command });
      else if (command && hasPlace(command)) wake(waiter, newPass(waiter.id, command));
    }
    if (blocked.length > 0) probeSome(blocked);
  }

  const hasPlace = (command: Candidate) => isHeard(command) || (unknown.get(command.caller) ?? 0) < MAX_UNKNOWN;

  /** Answers whose place is taken; undefined if it needs none. */
  function takePlace(command: Candidate): string | undefined {
    if (isHeard(command)) return undefined;
    unknown.set(command.caller, (unknown.get(command.caller) ?? 0) + 1);
    return command.caller;
  }

  function noteConnection(): void {
    if (seen === options.connection()) return;
    seen = options.connection();
    feed({ type: "reconnected", now: now() });
  }

  async function readCommand(waiter: Waiter): Promise<void> {
    waiter.command = undefined;
    const command = await options.read(waiter.id).catch(() => "failed" as const);
    if (waiting.get(waiter.id) !== waiter) return;
    // One whose record is gone is for the claim to find; one that could not be read is asked about again.
    if (command === undefined) return wake(waiter, newPass(waiter.id));
    waiter.command = command === "failed" ? "unread" : command;
    schedulePump(command === "failed" ? REPORTED_MS : 0);
  }

  /** Sends some of those that wait, in turn by caller, those first of which most is to be expected. */
  function probeSome(blocked: readonly { waiter: Waiter; command: Candidate }[]): void {
    const time = now();
    let soonest = Infinity;
    const candidates = blocked.flatMap(({ waiter, command }) => {
      const found = blockedBy(state, command);
      if (!found) return [];
      const { circuit, of } = found;
      // A caller of whom nothing was missed yet is tried at once.
      const tried = of !== "everybody" || circuit.misses.some((miss) => miss.command.caller === command.caller);
      if (tried && time < circuit.probeAt) {
        soonest = Math.min(soonest, circuit.probeAt);
        return [];
      }
      const slot = of === "caller" ? `${command.effect} ${command.caller}` : of === "everybody" ? command.effect : of;
      const silent = isSilent(circuit, command.keys);
      const rank = [
        isUnechoed(state, command.event) ? 1 : 0,
        tried ? 1 : 0,
        turns.get(command.caller) ?? 0,
        isKnown(command) ? 0 : 1,
        silent ? 1 : 0,
      ];
      return [{ waiter, command, slot, silent, rank }];
    });
    for (;;) {
      const [best] = candidates.filter(isProbeFree).toSorted((a, b) => compare(a.rank, b.rank));
      if (!best) break;
      candidates.splice(candidates.indexOf(best), 1);
      const { waiter, command, slot, silent } = best;
      const count = probes.get(slot) ?? { all: 0, silent: 0 };
      probes.set(slot, { all: count.all + 1, silent: count.silent + (silent ? 1 : 0) });
      takeTurn(command.caller);
      for (const other of candidates) if (other.command.caller === command.caller) other.rank[2] = turn;
      wake(waiter, newPass(waiter.id, command, { of: slot, silent }));
    }
    if (soonest < Infinity) schedulePump(Math.max(1, Math.ceil(soonest - time)));
  }

  function isProbeFree({ slot, silent }: { slot: string; silent: boolean }): boolean {
    const count = probes.get(slot) ?? { all: 0, silent: 0 };
    return count.all < PROBES && (!silent || count.silent < SILENT_PROBES);
  }

  function takeTurn(caller: string): void {
    if (turns.size > MAX_REMEMBERED) turns = new Map();
    turn += 1;
    turns.set(caller, turn);
  }

  function unanswered(): Unanswered | undefined {
    const { everybody, callers } = state;
    const open = everybody.sets.phase === "open" || everybody.adds.phase === "open";
    const own = [...callers.sets.values(), ...callers.adds.values()].some(({ phase }) => phase === "open");
    const misses = [...everybody.sets.misses, ...everybody.adds.misses];
    // A miss about what was answered before is worth reporting before enough of them make it certain.
    const suspected = misses.some(({ known }) => known);
    const last = misses.at(-1);
    const [first] = misses.toSorted((a, b) => a.at - b.at);
    if (!first || !last || (!open && !own && !suspected)) return undefined;
    if (
      waiting.size === 0 &&
      probes.size === 0 &&
      now() - Math.max(...misses.map((m) => m.at)) > REPORTED_MS &&
      !suspected
    )
      return undefined;
    const events: Record<string, number> = {};
    for (const { command } of misses) events[command.event] = (events[command.event] ?? 0) + 1;
    return {
      scope: open || suspected ? "everybody" : "callers",
      since: epoch(first.at),
      events,
      neverEchoed: Object.keys(events).filter((event) => state.events.get(event)?.answered !== true),
      waiting: waiting.size,
    };
  }

  signal.addEventListener("abort", pump, { once: true });

  return {
    enter(id) {
      const pass = granted.get(id);
      granted.delete(id);
      if (pass) return pass;
      if (signal.aborted) return Promise.resolve();
      noteConnection();
      if (waiting.size === 0 || !waiting.has(id)) {
        if (notReady() === undefined && isAllClosed(state) && !mustWaitAsSuspect(id)) return newPass(id);
      }
      return waiting.size >= MAX_WAITING && !waiting.has(id) ? undefined : wait(id, "unread");
    },
    shut() {
      const reason = notReady();
      if (reason !== undefined) return reason;
      if (state.connection.phase === "open") return "the CAD closes the connection on every command it receives";
      const { sets, adds } = state.everybody;
      if (sets.phase === "closed" && adds.phase === "closed") return undefined;
      const found = unanswered();
      return found && `the CAD takes commands but confirms none: ${describeUnanswered(found)}`;
    },
    isWide: () => notReady() === undefined && isAllClosed(state) && state.suspects.size === 0 && waiting.size === 0,
    isFull: () => waiting.size >= MAX_WAITING,
    breaksConnection: () => state.connection.phase === "open",
    unanswered,
    unechoed: () =>
      [...state.events].flatMap(([event, habit]) =>
        habit.is === "unechoed" ? [{ event, since: epoch(habit.since), count: habit.count }] : [],
      ),
    changed: () => pump(),
  };
}

/** Such as: 12 unit:status, 3 unit:location since 2026-01-31T22:05:07.000Z. */
export const describeUnanswered = ({ events, since }: Pick<Unanswered, "events" | "since">): string =>
  `${Object.entries(events)
    .map(([event, count]) => `${count} ${event}`)
    .join(", ")} since ${new Date(since).toISOString()}`;

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, mine] of a.entries()) if (mine !== (b[i] ?? 0)) return mine - (b[i] ?? 0);
  return 0;
}

function countDown(counts: Map<string, number>, key: string): void {
  const count = (counts.get(key) ?? 0) - 1;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
