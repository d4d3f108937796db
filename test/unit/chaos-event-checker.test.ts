import { expect, test } from "vitest";
import { checkEvents, EVENT_VIOLATIONS, type EventEvidence } from "../../tools/chaos/check/event-checker.ts";

/** Two events of one unit and one of another, all of which arrived in order. */
const GOOD: EventEvidence = {
  journal: [
    { id: "1-0", keys: ["unit:A"], wanted: ["x", "y"] },
    { id: "2-0", keys: ["unit:B"], wanted: ["x"] },
    { id: "3-0", keys: ["unit:A", "incident:I"], wanted: ["x", "y"] },
  ],
  received: ["x 1-0", "y 1-0", "x 3-0", "x 2-0", "y 3-0"].map(delivered),
  dead: new Set(),
  left: [],
  sent: ["e1", "e2", "e3"],
  kept: ["e1", "e2", "e3"],
  gaps: 0,
  stalls: [],
};
function delivered(text: string, time = 0) {
  const [destination = "", id = ""] = text.split(" ");
  return { destination, id, time };
}
const received = (...texts: string[]) => texts.map(delivered);
const kinds = (more: Partial<EventEvidence>) => checkEvents({ ...GOOD, ...more }).violations.map((v) => v.kind);

test("finds nothing where everything arrived in order; units of their own may come in any", () => {
  expect(checkEvents(GOOD)).toEqual({
    violations: [],
    journalled: 3,
    wanted: 5,
    received: 5,
    duplicates: 0,
    excused: 0,
    gaps: 0,
  });
});

const BAD: [what: string, kind: (typeof EVENT_VIOLATIONS)[number], more: Partial<EventEvidence>][] = [
  [
    "an event that a destination wants never came",
    "event lost on the way to a destination",
    { received: received("x 1-0", "y 1-0", "x 2-0", "x 3-0") },
  ],
  [
    "an event is not in the journal, and no gap is told of",
    "event lost on the way to the journal",
    { kept: ["e1", "e3"] },
  ],
  [
    "a newer event of a unit came first",
    "event out of order at a destination",
    { received: received("x 3-0", "x 1-0", "x 2-0", "y 1-0", "y 3-0") },
  ],
  [
    "an older event came again after a newer one",
    "event that comes again after a newer one",
    { received: received("x 1-0", "x 2-0", "x 3-0", "x 1-0", "y 1-0", "y 3-0") },
  ],
  ["an outbox holds something", "event left in an outbox", { left: ["1 in to:x:open"] }],
];
test.each(BAD)("tells that %s", (_what, kind, more) => {
  expect(kinds(more)).toEqual([kind]);
});

test("every kind of violation is found in a ledger that has it", () => {
  expect(new Set(BAD.map(([, kind]) => kind))).toEqual(new Set(EVENT_VIOLATIONS));
});

test("a dead letter is no loss, nor is what a gap tells of; an entry that Redis lost is not judged", () => {
  expect(kinds({ received: received("x 1-0", "y 1-0", "x 2-0", "x 3-0"), dead: new Set(["y 3-0"]) })).toEqual([]);
  expect(kinds({ kept: ["e1"], gaps: 1 })).toEqual([]);
  expect(kinds({ received: [...GOOD.received, delivered("x 2-5")] })).toEqual([]);
});

test("a repeat with nothing newer before it is counted, and is no failure", () => {
  const twice = received("x 1-0", "x 1-0", "x 2-0", "x 3-0", "x 3-0", "y 1-0", "y 3-0");
  expect(checkEvents({ ...GOOD, received: twice })).toMatchObject({ violations: [], duplicates: 2 });
});

test("what a frozen worker had sent, and comes when it wakes, is counted, and is no failure; a first delivery is", () => {
  const stalls = [{ from: 100, to: 200, acceptedBefore: 100 }];
  const late = [...GOOD.received, delivered("x 1-0", 201)];
  expect(checkEvents({ ...GOOD, received: late, stalls })).toMatchObject({ violations: [], excused: 1 });
  expect(checkEvents({ ...GOOD, received: late, stalls: [] }).violations).toHaveLength(1);
  const first = ["x 3-0", "x 1-0", "x 2-0", "y 1-0", "y 3-0"].map((text) => delivered(text, 150));
  expect(checkEvents({ ...GOOD, received: first, stalls }).violations).toHaveLength(1);
});
