import { describe, expect, test } from "vitest";
import { createMover } from "../../worker/fleet/mover.ts";
import { type Move, nextMove, placeOf } from "../../shared/moves/move.ts";
import { until } from "../../tools/support/until.ts";
import { keptLog } from "../support/log.ts";

const AT = new Date("2026-01-31T22:05:00Z");
const ask = (to: string, more: object = {}) => ({ unit: "N1", home: "north", to, by: "tests", at: AT, ...more });
const move = (more: Partial<Move> = {}): Move => ({
  ...{
    unit: "N1",
    n: 1,
    from: "north",
    to: "south",
    home: "north",
    past: ["north"],
    by: "tests",
    at: AT.toISOString(),
  },
  open: [{ n: 1, from: "north", to: "south" }],
  ...more,
});

describe("the next move of a unit", () => {
  test.each<[what: string, last: Move | undefined, to: string, next: Partial<Move> | undefined]>([
    [
      "the first",
      undefined,
      "south",
      { n: 1, from: "north", past: ["north"], open: [{ n: 1, from: "north", to: "south" }] },
    ],
    ["to where it is by the file", undefined, "north", undefined],
    ["to where it was moved already", move(), "south", undefined],
    [
      "back while the first one waits",
      move(),
      "north",
      {
        ...{ n: 2, from: "south", to: "north", past: ["south"] },
        open: [
          { n: 1, from: "north", to: "south" },
          { n: 2, from: "south", to: "north" },
        ],
      },
    ],
    ["on, after the first one is done", move({ open: [] }), "east", { n: 2, from: "south", past: ["south", "north"] }],
  ])("%s", (_, last, to, next) => {
    const made = nextMove(last, ask(to));
    if (next) expect(made).toMatchObject(next);
    else expect(made).toBeUndefined();
  });

  test("starts from the unit's current CAD, whatever the file contains now", () => {
    expect(nextMove(move({ open: [] }), ask("west", { home: "east" }))).toMatchObject({ from: "south", home: "east" });
  });
  test("confirms where the unit is, if the file says another CAD since", () => {
    expect(nextMove(move({ open: [] }), ask("south", { home: "east" }))).toMatchObject({
      n: 1,
      home: "east",
      open: [],
    });
  });
});

test.each<[what: string, last: Move | undefined, home: string | undefined, place: string | undefined]>([
  ["that never moved is where the file says", undefined, "north", "north"],
  ["that nobody owns is nowhere", undefined, undefined, undefined],
  ["that moved is there", move(), "north", "south"],
  ["whose owner in the file changed since is where the file says", move(), "east", "east"],
])("a unit %s", (_, last, home, place) => {
  expect(placeOf(last, home)).toBe(place);
});

/** Moves that are as they are set, by the unit. */
function rigged(moves: Map<string, Move>, now = new Date(AT.getTime() + 60_000)) {
  const started: unknown[] = [];
  const stopping = new AbortController();
  const mover = createMover({
    moves: {
      of: async () => moves,
      start: async (asked) => {
        started.push({ to: asked.to, by: asked.by });
        const back = move({ n: 2, open: [] });
        moves.delete(asked.unit);
        return { outcome: "moved", move: back };
      },
      advance: async (unit) => moves.get(unit),
      pending: async () => [...moves.keys()],
      waitsFor: async () => 1,
    },
    now: () => now,
    signal: stopping.signal,
    log: keptLog().log,
  });
  return { mover, started, stop: () => stopping.abort() };
}

test("a move that waits for long is a problem of the CAD that the unit moves to", async () => {
  const { mover, stop } = rigged(new Map([["N1", move()]]));
  const running = mover.run();
  const [problem] = await until("it is seen", () => mover.problems("south").length === 1 && mover.problems("south"));
  expect(problem).toMatchObject({ code: "move-pending", count: 1, since: AT.toISOString() });
  expect(problem?.message).toContain("north");
  expect(mover.problems("north")).toEqual([]);
  stop();
  await running;
});

test.each([
  ["before its deadline is left alone", 120_000, []],
  ["past its deadline is moved back", 30_000, [{ to: "north", by: "deadline" }]],
])("a move that waits %s", async (_, afterMs, expected) => {
  const moves = new Map([["N1", move({ backAt: new Date(AT.getTime() + afterMs).toISOString() })]]);
  const { mover, started, stop } = rigged(moves);
  const running = mover.run();
  await until(
    "it is looked at",
    () => started.length === expected.length && (expected.length > 0 || mover.problems("south").length > 0),
  );
  expect(started).toEqual(expected);
  stop();
  await running;
});
