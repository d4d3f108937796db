import { describe, expect, test } from "vitest";
import { explore, type Model } from "../../tools/model/explore.ts";
import { type Mutant, MUTANTS } from "../../tools/model/mutants.ts";
import { protocolOf } from "../../tools/model/protocol.ts";
import { SCENARIOS } from "../../tools/model/scenarios.ts";

const MAX_STATES = 300_000;

/** Counts to a goal of 3; a fault may lead into a trap. */
const counter = (trap: boolean, check: (n: number) => string | undefined = () => undefined): Model<number> => ({
  initial: 0,
  *steps(n) {
    if (n >= 0 && n < 3) yield { label: `count to ${n + 1}`, fault: false, state: n + 1 };
    if (trap && n === 1) yield { label: "fall into the trap", fault: true, state: -1 };
  },
  keyOf: String,
  check,
  isGoal: (n) => n === 3,
});

describe("the checker", () => {
  test("visits every state and finds nothing wrong where nothing is", () => {
    expect(explore(counter(false), 10)).toMatchObject({ states: 4, depth: 3, counterexample: undefined });
  });

  test("counts how many steps the farthest state is from the goal", () => {
    expect(explore(counter(false), 10).recovery).toBe(3);
  });

  test("names the rule that a state breaks, with the shortest way to it", () => {
    const { counterexample } = explore(
      counter(false, (n) => (n === 2 ? "two is forbidden" : undefined)),
      10,
    );
    expect(counterexample).toEqual({ broken: "two is forbidden", trace: ["count to 1", "count to 2"] });
  });

  test("finds a state from which no goal is reached without a fault", () => {
    const { counterexample } = explore(counter(true), 10);
    expect(counterexample?.trace).toEqual(["count to 1", "fall into the trap"]);
  });

  test("refuses a model that it cannot exhaust", () => {
    expect(() => explore(counter(false), 3)).toThrow(/more than 3 states/);
  });
});

describe("the model of the ordered outbox", () => {
  const [small] = SCENARIOS.filter(({ commands }) => commands.length === 4).toReversed();
  if (!small) throw new Error("no scenario has four commands");

  test("holds in the smallest scenario of four commands; npm run model explores them all", () => {
    const explored = explore(protocolOf(small), MAX_STATES);
    expect(explored.counterexample).toBeUndefined();
    expect(explored.states).toBeGreaterThan(1000);
  });

  const quick = { ...small, faults: { crash: 1, lostReply: 1 } };
  test.each<[Mutant, RegExp]>([
    ["head-removed-twice", /invariant 3/],
    ["settle-before-emit", /invariant 2/],
    ["append-twice", /invariant 3/],
    ["relay-as-write", /invariant 11/],
    ["runnable-in-second-step", /invariant 4/],
    ["wake-up-only", /never becomes final/],
  ])("finds the seeded bug %s", (mutant, broken) => {
    const { counterexample } = explore(protocolOf(quick, mutant), MAX_STATES);
    expect(counterexample?.broken, MUTANTS[mutant]).toMatch(broken);
  });

  const held = SCENARIOS.find(({ commands }) => commands.some(({ holds }) => holds));
  test.each<[Mutant, RegExp]>([
    ["hold-without-place", /invariant 3/],
    ["redrive-at-the-end", /invariant 2/],
    ["discard-marks-nothing", /invariant 4/],
  ])("finds the seeded bug %s of a dead letter that holds its place", (mutant, broken) => {
    if (!held) throw new Error("no scenario has such a dead letter");
    const { counterexample } = explore(protocolOf(held, mutant), MAX_STATES);
    expect(counterexample?.broken, MUTANTS[mutant]).toMatch(broken);
  });
});
