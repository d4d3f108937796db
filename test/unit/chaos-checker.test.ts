import { describe, expect, test } from "vitest";
import { type Arrival, check, type Evidence, type ViolationKind } from "../../tools/chaos/check/checker.ts";

/** A clean run: three commands of one unit, the second of an incident as well. Each test spoils one thing. */
const clean: Evidence = {
  accepted: [
    { id: "a", keys: ["unit:1"], at: 1000 },
    { id: "b", keys: ["unit:1", "incident:9"], at: 2000 },
    { id: "c", keys: ["unit:1"], at: 3000 },
  ],
  arrivals: [arrival("a", 1010), arrival("b", 2010), arrival("c", 3010)],
  receipts: new Map(["a", "b", "c"].map((id) => [id, { status: "confirmed", reason: null }])),
  left: { outbox: [], jobs: { waiting: 0, active: 0, delayed: 0 } },
  owners: [
    { worker: "w1", after: 0, seen: 20 },
    { worker: "w2", after: 10_000, seen: 10_020 },
  ],
  stalls: [],
};

function arrival(id: string, time: number, more: Partial<Arrival> = {}): Arrival {
  return { id, time, connection: 1, opened: 500, worker: "w1", refused: false, ...more };
}

const receipts = (changed: Record<string, { status: string; reason: string | null } | undefined>) => {
  const all = new Map(clean.receipts);
  for (const [id, receipt] of Object.entries(changed)) {
    if (receipt) all.set(id, receipt);
    else all.delete(id);
  }
  return all;
};
const kinds = (evidence: Partial<Evidence>) => check({ ...clean, ...evidence }).violations.map((v) => v.kind);

test("a clean run has no violations, and is counted", () => {
  expect(check(clean)).toEqual({
    violations: [],
    accepted: 3,
    delivered: 3,
    superseded: 0,
    dead: {},
    duplicates: 0,
    excusedRepeats: 0,
    excusedEmits: 0,
  });
});

const VIOLATED: readonly [what: string, kind: ViolationKind, evidence: Partial<Evidence>][] = [
  ["a command that is confirmed, but never came", "lost", { arrivals: [arrival("a", 1010), arrival("c", 3010)] }],
  [
    "a dead letter that does not say why",
    "lost",
    {
      arrivals: [arrival("a", 1010), arrival("c", 3010)],
      receipts: receipts({ b: { status: "failed", reason: null } }),
    },
  ],
  [
    "a first delivery after a newer one of its unit",
    "first delivery out of order",
    { arrivals: [arrival("a", 1010), arrival("c", 3010), arrival("b", 3020)] },
  ],
  [
    "the same on another connection: a first delivery has no excuse",
    "first delivery out of order",
    { arrivals: [arrival("a", 1010), arrival("c", 3010, { connection: 2 }), arrival("b", 3020)] },
  ],
  [
    "an older command again after a newer one on the same connection",
    "late repeat",
    { arrivals: [...clean.arrivals, arrival("b", 3020)] },
  ],
  [
    "an older command again on a newer connection",
    "late repeat",
    { arrivals: [...clean.arrivals, arrival("b", 3020, { connection: 2 })] },
  ],
  [
    "an older command again on an older connection than that of one newer command, but not of the other",
    "late repeat",
    {
      accepted: [...clean.accepted, { id: "d", keys: ["incident:9"], at: 3500 }],
      receipts: receipts({ d: { status: "confirmed", reason: null } }),
      arrivals: [
        arrival("a", 1010),
        arrival("b", 2010),
        arrival("c", 3010, { connection: 2 }),
        arrival("d", 3510),
        arrival("b", 3520),
      ],
    },
  ],
  ["a receipt that is not final", "no final state", { receipts: receipts({ c: { status: "sent", reason: null } }) }],
  ["a receipt that is gone", "no final state", { receipts: receipts({ c: undefined }) }],
  ["a line that is not empty", "left in the outbox", { left: { outbox: ["1 in line:unit:1"], jobs: {} } }],
  ["a job that is left", "stuck job", { left: { outbox: [], jobs: { waiting: 0, active: 1 } } }],
  [
    "an emit by the last owner while another holds the lease",
    "emit by another than the owner",
    { arrivals: [arrival("a", 1010), arrival("b", 2010), arrival("c", 10_200)] },
  ],
  [
    "an emit by a standby that never owned the CAD",
    "emit by another than the owner",
    { arrivals: [arrival("a", 1010), arrival("b", 2010), arrival("c", 3010, { worker: "w2" })] },
  ],
  [
    "an emit by a worker that was frozen, of a command that was accepted meanwhile",
    "emit by another than the owner",
    {
      arrivals: [arrival("a", 1010), arrival("b", 2010), arrival("c", 10_200)],
      stalls: [{ from: 2500, to: 10_150, acceptedBefore: 2500 }],
    },
  ],
  [
    "an emit by a worker that was frozen, long after it woke",
    "emit by another than the owner",
    {
      arrivals: [arrival("a", 1010), arrival("b", 2010), arrival("c", 20_000)],
      stalls: [{ from: 3500, to: 10_150, acceptedBefore: 3500 }],
    },
  ],
];

describe("the chaos checker reports", () => {
  test.each(VIOLATED)("%s", (_what, kind, evidence) => {
    expect(kinds(evidence)).toEqual([kind]);
  });
});

test("every violation that there is, at once", () => {
  const found = kinds({
    arrivals: [arrival("c", 3010, { connection: 1 }), arrival("a", 3020), arrival("a", 10_300)],
    receipts: receipts({ c: { status: "queued", reason: null } }),
    left: { outbox: ["1 in open: c"], jobs: { delayed: 1 } },
  });
  expect(new Set(found).size).toBe(7);
});

const FINE: readonly [what: string, evidence: Partial<Evidence>, counts: object][] = [
  [
    "a superseded command that never came",
    {
      arrivals: [arrival("a", 1010), arrival("c", 3010)],
      receipts: receipts({ b: { status: "superseded", reason: "a newer value took its place" } }),
    },
    { delivered: 2, superseded: 1 },
  ],
  [
    "a dead letter that says why",
    {
      arrivals: [arrival("a", 1010), arrival("c", 3010)],
      receipts: receipts({ b: { status: "expired", reason: "too late" } }),
    },
    { delivered: 2, dead: { "expired: too late": 1 } },
  ],
  [
    "a repeat before any newer one",
    { arrivals: [arrival("a", 1010), arrival("a", 1500, { connection: 2 }), arrival("b", 2010), arrival("c", 3010)] },
    { duplicates: 1 },
  ],
  [
    "a repeat that the CAD asked for",
    { arrivals: [arrival("a", 1010, { refused: true }), arrival("a", 1500), arrival("b", 2010), arrival("c", 3010)] },
    { duplicates: 0 },
  ],
  [
    "a late repeat on the old connection of a CAD that was stopped",
    { arrivals: [...clean.arrivals.map((a) => ({ ...a, connection: 2 })), arrival("b", 3020, { connection: 1 })] },
    { duplicates: 1, excusedRepeats: 1 },
  ],
  [
    "an emit of the last owner within the slack of a change",
    { arrivals: [arrival("a", 1010), arrival("b", 2010), arrival("c", 10_050)] },
    {},
  ],
  [
    "an emit of the new owner before it was seen to be",
    { arrivals: [arrival("a", 1010), arrival("b", 2010), arrival("c", 10_010, { worker: "w2" })] },
    {},
  ],
  [
    "an emit out of a frozen worker, of a command that was accepted before",
    {
      arrivals: [arrival("a", 1010), arrival("b", 2010), arrival("c", 10_200)],
      stalls: [{ from: 3500, to: 10_150, acceptedBefore: 3500 }],
    },
    { excusedEmits: 1 },
  ],
  [
    "an emit on a connection of which it is not known whose it is",
    { arrivals: [arrival("a", 1010), arrival("b", 2010), arrival("c", 10_200, { worker: undefined })] },
    {},
  ],
  [
    "an arrival whose 202 never came back",
    { arrivals: [...clean.arrivals, arrival("x", 3500)] },
    { accepted: 3, delivered: 3 },
  ],
];

describe("the chaos checker accepts", () => {
  test.each(FINE)("%s", (_what, evidence, counts) => {
    expect(check({ ...clean, ...evidence })).toMatchObject({ violations: [], ...counts });
  });
});
