import { describe, expect, test } from "vitest";
import {
  type AdmissionState,
  blockedBy,
  INITIAL,
  type Input,
  isAllClosed,
  step,
  type Verdict,
} from "../../worker/admission/admission-state.ts";
import type { Candidate, Effect } from "../../worker/admission/circuit.ts";

const command = (id: string, more: Partial<Candidate> = {}): Candidate => ({
  id,
  event: "unit:status",
  effect: "sets",
  keys: [`unit:${id}`],
  caller: "anna",
  ...more,
});
const at = { now: 10_000, roll: 0.5 };
const missed = (
  of: Candidate,
  more: { known?: boolean; answered?: boolean; alone?: boolean; now?: number } = {},
): Input => ({
  type: "missed",
  command: of,
  known: false,
  answered: false,
  alone: more.answered ?? false,
  ...at,
  ...more,
});
const broke = (
  of: Candidate,
  more: { alone?: boolean; probe?: boolean; answered?: boolean; now?: number } = {},
): Input => ({
  type: "broke",
  command: of,
  alone: false,
  probe: false,
  answered: false,
  ...at,
  ...more,
});
const write = (of: Candidate): Input => ({ type: "proved", command: of, proof: "write" });
const relay = (of: Candidate): Input => ({ type: "proved", command: of, proof: "relay" });
const receipt = (of: Candidate): Input => ({ type: "proved", command: of, proof: "receipt" });

/** What the inputs lead to, and the verdict on each. */
function run(inputs: readonly Input[], from: AdmissionState = INITIAL): { state: AdmissionState; verdicts: Verdict[] } {
  const verdicts: Verdict[] = [];
  let state = from;
  for (const input of inputs) {
    const next = step(state, input);
    state = next.state;
    verdicts.push(next.verdict);
  }
  return { state, verdicts };
}

const RELAY = { effect: "adds", event: "incident:created" } as const;
const known = { known: true };
const apart = (callers: readonly string[], more: { known?: boolean } = {}) =>
  callers.map((caller, i) => missed(command(`${i}`, { caller }), more));
const OTHER = { effect: "sets" as Effect, caller: "other" };
const ANNA = { effect: "sets" as Effect, caller: "anna" };
const ADDS = { effect: "adds" as Effect, caller: "other" };
const OUTAGE = apart(["anna", "anna", "anna"], known);

/** Who has to wait after the inputs: anna's or another's command that sets a value, or one that adds. */
const WAITS: [string, readonly Input[], { anna: boolean; other: boolean; adds: boolean }][] = [
  ["nothing was sent", [], { anna: false, other: false, adds: false }],
  ["two were missed", OUTAGE.slice(1), { anna: false, other: false, adds: false }],
  ["three about what was answered before were missed, of one caller", OUTAGE, { anna: true, other: true, adds: false }],
  ["three callers were missed", apart(["anna", "bert", "carl"]), { anna: false, other: true, adds: false }],
  [
    "one caller was missed, with ids never answered",
    apart(Array(300).fill("anna")),
    { anna: true, other: false, adds: false },
  ],
  [
    "one unit was missed again and again",
    Array(20).fill(missed(command("1"))),
    { anna: false, other: false, adds: false },
  ],
  [
    "one incident was missed, whatever its units",
    Array.from({ length: 20 }, (_, i) => missed(command(`${i}`, { keys: [`unit:${i}`, "incident:1"] }))),
    { anna: false, other: false, adds: false },
  ],
  [
    "one command about what was answered before was missed twice",
    [missed(command("1"), known), missed(command("1"), known)],
    { anna: true, other: true, adds: false },
  ],
  [
    "it was missed while others were answered",
    Array(9).fill(missed(command("1"), { answered: true })),
    { anna: false, other: false, adds: false },
  ],
  [
    "a write was proved between",
    [...OUTAGE.slice(1), write(command("9")), ...OUTAGE.slice(1)],
    { anna: false, other: false, adds: false },
  ],
  [
    "a relay was proved between",
    [...OUTAGE.slice(1), relay(command("9", RELAY)), ...OUTAGE.slice(0, 1)],
    { anna: true, other: true, adds: false },
  ],
  [
    "receipt was proved between",
    [...OUTAGE.slice(1), receipt(command("9", RELAY)), ...OUTAGE.slice(0, 1)],
    { anna: true, other: true, adds: false },
  ],
  ["an outage, then a write", [...OUTAGE, write(command("9"))], { anna: false, other: false, adds: false }],
  ["an outage, then a relay", [...OUTAGE, relay(command("9", RELAY))], { anna: true, other: true, adds: false }],
  ["an outage, then receipt", [...OUTAGE, receipt(command("9"))], { anna: true, other: true, adds: false }],
  [
    "an outage, then a new connection",
    [...OUTAGE, { type: "reconnected", now: 11_000 }],
    { anna: true, other: true, adds: false },
  ],
  [
    "relays were missed",
    ["anna", "bert", "carl"].map((caller, i) => missed(command(`${i}`, { ...RELAY, caller }))),
    { anna: false, other: false, adds: true },
  ],
  [
    "relays were missed, then a write was proved",
    [
      ...["anna", "bert", "carl"].map((caller, i) => missed(command(`${i}`, { ...RELAY, caller }))),
      write(command("9")),
    ],
    { anna: false, other: false, adds: false },
  ],
  [
    "ten suspects in a row broke the connection alone",
    Array.from({ length: 10 }, (_, i) => broke(command(`${i}`), { alone: true })),
    { anna: true, other: true, adds: true },
  ],
  [
    "nine did",
    Array.from({ length: 9 }, (_, i) => broke(command(`${i}`), { alone: true })),
    { anna: false, other: false, adds: false },
  ],
  [
    "nine did, receipt was proved, and one more did",
    [
      ...Array.from({ length: 9 }, (_, i) => broke(command(`${i}`), { alone: true })),
      receipt(command("x")),
      broke(command("y"), { alone: true }),
    ],
    { anna: false, other: false, adds: false },
  ],
];
test.each(WAITS)("who waits when %s", (_what, inputs, waits) => {
  const { state } = run(inputs);
  const isBlocked = (who: Pick<Candidate, "effect" | "caller">) => blockedBy(state, who) !== undefined;
  // Three callers open it for everybody, not each for itself.
  const anna = waits.other || waits.anna;
  expect({ anna: isBlocked(ANNA), other: isBlocked(OTHER), adds: isBlocked(ADDS) }).toEqual({ ...waits, anna });
  expect(isAllClosed(state)).toBe(!anna && !waits.other && !waits.adds);
});

const FIVE = Array.from({ length: 5 }, (_, i) => missed(command(`${i}`), { answered: true }));
const VERDICTS: [string, readonly Input[], Input, Verdict][] = [
  ["one that sets a value, missed alone, is resent", [], missed(command("1"), { answered: true }), "resend"],
  ["one that sets a value, while nothing is answered, is resent without an end", [], missed(command("1")), "retry"],
  ["one that was missed while others were answered before", [], missed(command("1"), { alone: true }), "resend"],
  ["one that opens the circuit is held", OUTAGE.slice(1), OUTAGE[0] ?? missed(command("0")), "hold"],
  ["one that was on its way when it opened is held", OUTAGE, missed(command("9")), "hold"],
  ["one that adds is given up", [], missed(command("1", RELAY), { answered: true }), "giveUp"],
  ["one that adds is given up in an outage", OUTAGE, missed(command("1", RELAY)), "giveUp"],
  ["one of an event that is never echoed is given up", FIVE, missed(command("9"), { answered: true }), "giveUp"],
  ["the one that shows that it never is, too", FIVE.slice(1), FIVE[0] ?? missed(command("0")), "giveUp"],
  [
    "after an echo of the event it is resent again",
    [...FIVE, write(command("9"))],
    missed(command("1"), { answered: true }),
    "resend",
  ],
  [
    "unknown ids show nothing about an event that was echoed",
    [write(command("9")), ...FIVE],
    missed(command("1"), { answered: true }),
    "resend",
  ],
  [
    "another event's echoes change nothing",
    [...FIVE, write(command("9", { event: "unit:location" }))],
    missed(command("1"), { answered: true }),
    "giveUp",
  ],
  ["the first break is nobody's", [], broke(command("1")), "none"],
  [
    "three breaks, two of them alone, are its own",
    [broke(command("1")), broke(command("1"), { alone: true })],
    broke(command("1"), { alone: true }),
    { poison: 3 },
  ],
  [
    "three breaks, one of them alone, are not",
    [broke(command("1")), broke(command("1"))],
    broke(command("1"), { alone: true }),
    "none",
  ],
  [
    "an answer between acquits it",
    [broke(command("1"), { alone: true }), broke(command("1"), { alone: true }), relay(command("1"))],
    broke(command("1"), { alone: true }),
    "none",
  ],
  [
    "a probe's break is held against nobody",
    [broke(command("1"), { alone: true }), broke(command("1"), { alone: true })],
    broke(command("1"), { alone: true, probe: true }),
    "none",
  ],
];
test.each(VERDICTS)("%s", (_what, before, input, verdict) => {
  expect(run([...before, input]).verdicts.at(-1)).toEqual(verdict);
});

const probeAt = (state: AdmissionState) => state.everybody.sets.probeAt - at.now;

describe("probes", () => {
  test("wait longer after each that was missed, and not for what was sent before", () => {
    const { state } = run(OUTAGE);
    expect(probeAt(state)).toBeGreaterThan(0);
    expect(probeAt(run([missed(command("7"))], state).state)).toBe(probeAt(state));
    const later = run([missed(command("8"), { now: 20_000 })], state).state;
    expect(later.everybody.sets.probeAt - 20_000).toBeGreaterThan(probeAt(state));
  });

  test("go at once on a new connection", () => {
    const { state } = run([...OUTAGE, { type: "reconnected", now: at.now + 1 }]);
    expect(state.everybody.sets.probeAt).toBeLessThanOrEqual(at.now + 1);
  });
});

test("the answers of a healthy CAD leave the state as it is", () => {
  const { state } = run([write(command("1")), relay(command("2", RELAY))]);
  expect(step(state, write(command("3"))).state).toBe(state);
  expect(step(state, relay(command("4", RELAY))).state).toBe(state);
  expect(step(state, receipt(command("5"))).state).toBe(state);
});

test("misses are remembered up to a bound", () => {
  const many = Array.from({ length: 3000 }, (_, i) => missed(command(`${i}`)));
  expect(run(many).state.everybody.sets.misses.length).toBeLessThanOrEqual(1000);
});
