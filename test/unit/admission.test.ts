import { expect, test } from "vitest";
import { type AdmissionOptions, createAdmission } from "../../worker/admission/admission.ts";
import { type AdmissionState, INITIAL, type Input, step } from "../../worker/admission/admission-state.ts";
import { Answers } from "../../worker/admission/answers.ts";
import type { Candidate } from "../../worker/admission/circuit.ts";
import { Pass } from "../../worker/admission/pass.ts";
import { MAX_UNKNOWN } from "../../worker/admission/places.ts";
import { chooseProbes, type ProbeCount } from "../../worker/admission/probes.ts";
import { nextAction, type WaitingState } from "../../worker/admission/waiting.ts";

const command = (id: string, more: Partial<Candidate> = {}): Candidate => ({
  id,
  event: "unit:status",
  effect: "sets",
  keys: [`unit:${id}`],
  caller: "anna",
  ...more,
});
const missed = (of: Candidate, known = true): Input => ({
  type: "missed",
  command: of,
  known,
  answered: false,
  alone: false,
  now: 1000,
  roll: 0,
});
const after = (...inputs: Input[]): AdmissionState =>
  inputs.reduce((state, input) => step(state, input).state, INITIAL);
/** Three commands of one caller that were missed, about units that were answered before: the circuit is open. */
const OUTAGE = after(...["a", "b", "c"].map((id) => missed(command(id, { caller: "bert" }))));
/** When the first probes of callers with misses may go, ms. */
const PROBE_AT = OUTAGE.everybody.sets.probeAt;

const read = (of: Candidate): WaitingState => ({ is: "read", command: of });
test.each<[string, WaitingState, { state?: AdmissionState; place?: boolean; held?: boolean }, string]>([
  ["unread, circuits closed", { is: "unread" }, {}, "admit"],
  ["unread, a circuit open", { is: "unread" }, { state: OUTAGE }, "read"],
  ["being read, circuits closed again", { is: "reading" }, {}, "admit"],
  ["being read, a circuit open", { is: "reading" }, { state: OUTAGE }, "stay"],
  ["read, its circuit open", read(command("1")), { state: OUTAGE }, "probe"],
  ["read, the circuit of another effect open", read(command("1", { effect: "adds" })), { state: OUTAGE }, "admit"],
  ["read, its caller without a free place", read(command("1")), { place: false }, "stay"],
  ["a suspect while another is sent alone", { is: "unread" }, { held: true }, "stay"],
  ["such a suspect, its circuit open", read(command("1")), { held: true, state: OUTAGE }, "stay"],
])("what happens to a waiting command: %s", (_what, waiting, { state = INITIAL, place = true, held = false }, next) => {
  const view = { state, isAllClosed: state === INITIAL, hasPlace: () => place, isHeldAsSuspect: () => held };
  expect(nextAction({ id: "1", state: waiting }, view)).toBe(next);
});

const unknown = (id: string, caller: string) => command(id, { caller });
test.each<
  [
    string,
    Candidate[],
    { now?: number; inFlight?: [string, ProbeCount][]; turns?: Record<string, number>; known?: string[] },
    string[],
    number,
  ]
>([
  ["at most three", ["1", "2", "3", "4"].map((id) => unknown(id, `caller ${id}`)), {}, ["1", "2", "3"], Infinity],
  [
    "fewer while others are in flight",
    ["1", "2", "3"].map((id) => unknown(id, `caller ${id}`)),
    { inFlight: [["sets", { all: 2, silent: 0 }]] },
    ["1"],
    Infinity,
  ],
  [
    "callers in turn",
    [unknown("1", "anna"), unknown("2", "anna"), unknown("3", "carl"), unknown("4", "dora")],
    {},
    ["1", "3", "4"],
    Infinity,
  ],
  [
    "the caller first whose turn is longest ago",
    [unknown("1", "anna"), unknown("2", "carl")],
    { turns: { anna: 7, carl: 3 } },
    ["2", "1"],
    Infinity,
  ],
  [
    "what was answered before first",
    [unknown("1", "anna"), unknown("2", "anna")],
    { known: ["2"] },
    ["2", "1"],
    Infinity,
  ],
  ["none of a caller with misses before its time", [unknown("1", "bert")], {}, [], PROBE_AT],
  ["one of a caller with misses at its time", [unknown("1", "bert")], { now: PROBE_AT }, ["1"], Infinity],
  [
    "callers without misses before those with",
    [unknown("1", "bert"), unknown("2", "anna")],
    { now: PROBE_AT },
    ["2", "1"],
    Infinity,
  ],
  [
    "one at a time about what was missed",
    [unknown("a", "bert"), unknown("b", "bert"), unknown("1", "bert")],
    { now: PROBE_AT },
    ["1", "a"],
    Infinity,
  ],
  ["nothing that its circuit does not block", [command("1", { effect: "adds" })], {}, [], Infinity],
])("probes: %s", (_what, blocked, { now = 1000, inFlight = [], turns = {}, known = [] }, ids, nextAt) => {
  const choice = chooseProbes(blocked, {
    state: OUTAGE,
    now,
    inFlight: new Map(inFlight),
    turnOf: (caller) => turns[caller] ?? 0,
    lastTurn: Math.max(0, ...Object.values(turns)),
    isKnown: ({ id }) => known.includes(id),
  });
  expect(choice.probes.map(({ command: { id } }) => id)).toEqual(ids);
  expect(choice.nextAt).toBe(nextAt);
});

test.each([
  ["an ack of a command that sets a value", "acknowledged", "sets", "write", true],
  ["an ack of one that adds", "acknowledged", "adds", "relay", false],
  ["an echo", "echoed", "sets", "write", true],
  ["a relay's echo", "relayed", "adds", "relay", false],
  ["a barrier", "received", "sets", "receipt", false],
] as const)("%s is evidence of what the CAD did", (_what, proof, effect, evidence, known) => {
  const answers = new Answers(1000);
  const one = command("1", { effect });
  expect(answers.noteProof(one, proof, 5000)).toBe(evidence);
  expect(answers.isKnown(one)).toBe(known);
  expect(answers.hasAnswers(one)).toBe(true);
  // Sent clearly before an answered one, a miss is its own; sent with it, it may be an outage.
  expect(answers.hasLater("sets", 4700)).toBe(evidence === "write");
  expect(answers.hasLater("adds", 4700)).toBe(evidence !== "receipt");
  expect(answers.hasLater("sets", 4900)).toBe(false);
});

function start(more: Partial<AdmissionOptions> = {}) {
  const cad = { notReady: undefined as string | undefined, connection: 1 };
  const stop = new AbortController();
  const admission = createAdmission({
    notReady: () => cad.notReady,
    connection: () => cad.connection,
    read: async (id) => command(id),
    confirmMs: 1000,
    signal: stop.signal,
    random: () => 0,
    ...more,
  });
  /** Sends one that may go at once. */
  function send(one: Candidate): Pass {
    const pass = admission.enter(one.id);
    if (!(pass instanceof Pass)) throw new Error(`${one.id} has to wait`);
    expect(pass.start(one)).toBe(true);
    return pass;
  }
  /** Waits until one may go. */
  async function sendInTurn(one: Candidate): Promise<Pass> {
    for (;;) {
      const pass = admission.enter(one.id);
      if (pass instanceof Pass) {
        expect(pass.start(one)).toBe(true);
        return pass;
      }
      await pass;
    }
  }
  return { admission, cad, stop, send, sendInTurn };
}

function answer(pass: Pass): void {
  pass.proved("echoed");
  pass.release();
}

function miss(pass: Pass): ReturnType<Pass["missed"]> {
  const verdict = pass.missed();
  pass.release();
  return verdict;
}

/** An outage: three units are answered, and then three of their commands are missed. */
function breakCad({ send }: ReturnType<typeof start>): void {
  for (const id of ["a", "b", "c"]) answer(send(command(id)));
  const passes = ["a", "b", "c"].map((id) => send(command(id, { caller: "bert" })));
  expect(passes.map(miss)).toEqual(["retry", "retry", "hold"]);
}

test("commands pass at once while the CAD answers", () => {
  const { admission, send } = start();
  expect(admission.admitsAll()).toBe(true);
  answer(send(command("1")));
  expect(admission.closedBecause()).toBeUndefined();
});

test("a command waits until the connection is ready", async () => {
  const { admission, cad } = start();
  cad.notReady = "no connection";
  const waits = admission.enter("1");
  expect(waits).toBeInstanceOf(Promise);
  expect(admission.enter("1")).toBe(waits);
  expect(admission.closedBecause()).toBe("no connection");
  cad.notReady = undefined;
  admission.update();
  await waits;
  expect(admission.enter("1")).toBeInstanceOf(Pass);
});

test("when the worker stops, those that wait are woken, and nothing is sent any more", async () => {
  const { admission, cad, stop } = start();
  cad.notReady = "no connection";
  const waits = admission.enter("1");
  stop.abort();
  await waits;
  cad.notReady = undefined;
  expect(admission.enter("1")).not.toBeInstanceOf(Pass);
});

test("no more than a bounded number wait; the others are left in Redis", () => {
  const { admission, cad } = start();
  cad.notReady = "no connection";
  for (let i = 0; i < 20_000; i += 1) void admission.enter(`${i}`);
  expect(admission.isFull()).toBe(true);
  expect(admission.enter("one more")).toBeUndefined();
  expect(admission.enter("0")).toBeInstanceOf(Promise);
});

test("in an outage probes alone pass, and a proved write lets everything through", async () => {
  const bridge = start();
  const { admission, cad, sendInTurn } = bridge;
  breakCad(bridge);
  expect(admission.unanswered()).toMatchObject({ scope: "everybody", events: { "unit:status": 3 }, neverEchoed: [] });
  expect(admission.closedBecause()).toContain("3 unit:status");
  const waits = Array.from({ length: 10 }, (_, i) => sendInTurn(command(`${i}`)));
  const first = await Promise.race(waits);
  expect(first.probe).toBeDefined();
  answer(first);
  const rest = await Promise.all(waits);
  expect(rest.filter(({ probe }) => probe !== undefined).length).toBeLessThanOrEqual(3);
  expect(cad.connection).toBe(1);
  expect(admission.unanswered()).toBeUndefined();
});

test("a new connection lets probes go at once", async () => {
  // Without it, ten seconds.
  const bridge = start({ random: () => 19, read: async (id) => command(id, { caller: "bert" }) });
  const { admission, cad, sendInTurn } = bridge;
  breakCad(bridge);
  const begun = performance.now();
  const waits = sendInTurn(command("d", { caller: "bert" }));
  cad.connection = 2;
  admission.update();
  expect((await waits).probe).toBeDefined();
  expect(performance.now() - begun).toBeLessThan(5000);
});

test("one caller's commands about units that never answered hold a bounded number of places", async () => {
  const { admission, send, sendInTurn } = start();
  const passes = Array.from({ length: MAX_UNKNOWN }, (_, i) => send(command(`${i}`)));
  const pass = admission.enter("one more");
  expect(pass instanceof Pass && pass.start(command("one more"))).toBe(false);
  answer(send(command("another's", { caller: "bert" })));
  answer(passes[0] ?? send(command("0")));
  answer(await sendInTurn(command("one more")));
});

test("suspects of a broken connection are sent one at a time until one is found to be poison", async () => {
  const { admission, send, sendInTurn } = start();
  for (const pass of ["1", "2"].map((id) => send(command(id)))) {
    expect(pass.broke()).toBe("none");
    pass.release();
  }
  expect(admission.admitsAll()).toBe(false);
  const alone = send(command("1"));
  expect(alone.alone).toBe(true);
  const waits = sendInTurn(command("2"));
  expect(alone.broke()).toBe("none");
  alone.release();
  const other = await waits;
  answer(other);
  const again = send(command("1"));
  expect(again.broke()).toEqual({ poison: 3 });
  again.release();
  expect(admission.admitsAll()).toBe(true);
});

test("a command that could not be read is read again, and one whose record is gone passes", async () => {
  const found: (Candidate | undefined | "failed")[] = ["failed", undefined];
  const bridge = start({
    read: async () => {
      const next = found.shift();
      if (next === "failed") throw new Error("Redis is away");
      return next;
    },
  });
  breakCad(bridge);
  const pass = await bridge.sendInTurn(command("gone"));
  expect(pass.probe).toBeUndefined();
  expect(found).toEqual([]);
});
