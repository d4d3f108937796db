import type { Stall } from "./checker.ts";

/** Checks the event direction by what is visible from outside: the journal, and what each destination received. */

/** An entry of the journal. */
export interface Journalled {
  id: string;
  /** Its units and incidents. */
  keys: readonly string[];
  /** The destinations whose rules want it. */
  wanted: readonly string[];
}

/** An event that a destination answered with 2xx. */
export interface Delivered {
  destination: string;
  /** The entry's id. */
  id: string;
  time: number;
}

export interface EventEvidence {
  /** In the order of the journal. */
  journal: readonly Journalled[];
  /** In the order in which they came. */
  received: readonly Delivered[];
  /** Dead letters, as `DESTINATION ID`. */
  dead: ReadonlySet<string>;
  /** What the destinations' outboxes still hold when all is said to be done. */
  left: readonly string[];
  /** Ids of events that the CAD sent, each once, in the order of each unit and incident. */
  sent: readonly string[];
  /** The CAD's own ids of what is in the journal, in its order. */
  kept: readonly string[];
  /** Gaps that the journal records. */
  gaps: number;
  /** What a frozen worker had sent already comes when it wakes: repeats of then are counted, and are no failure. */
  stalls: readonly Stall[];
}

export const EVENT_VIOLATIONS = [
  "event lost on the way to the journal",
  "event lost on the way to a destination",
  "event out of order at a destination",
  "event that comes again after a newer one",
  "event left in an outbox",
] as const;
export type EventViolationKind = (typeof EVENT_VIOLATIONS)[number];

export interface EventVerdict {
  violations: { kind: EventViolationKind; what: string }[];
  journalled: number;
  wanted: number;
  received: number;
  duplicates: number;
  /** Older events that came again after a newer one, out of a frozen worker. */
  excused: number;
  gaps: number;
}

/** How long after the end of a stall what was held in it may come, ms. */
const STALL_TAIL_MS = 2000;

export function checkEvents(evidence: EventEvidence): EventVerdict {
  const order = checkOrder(evidence);
  return {
    violations: [...checkJournal(evidence), ...checkFate(evidence), ...order.violations, ...checkLeft(evidence)],
    journalled: evidence.journal.length,
    wanted: evidence.journal.reduce((sum, { wanted }) => sum + wanted.length, 0),
    received: new Set(evidence.received.map(nameOf)).size,
    duplicates: order.duplicates,
    excused: order.excused,
    gaps: evidence.gaps,
  };
}

type Violations = Generator<EventVerdict["violations"][number]>;
const nameOf = ({ destination, id }: { destination: string; id: string }) => `${destination} ${id}`;

/** What is missing and not recorded as a gap is a loss. */
function* checkJournal({ sent, kept, gaps }: EventEvidence): Violations {
  const there = new Set(kept);
  const missing = sent.filter((id) => !there.has(id));
  if (missing.length > 0 && gaps === 0)
    yield {
      kind: "event lost on the way to the journal",
      what: `${missing.length} of ${sent.length}, and no gap is recorded: ${missing.slice(0, 5).join(", ")}`,
    };
}

function* checkFate({ journal, received, dead }: EventEvidence): Violations {
  const came = new Set(received.map(nameOf));
  for (const { id, keys, wanted } of journal) {
    for (const destination of wanted) {
      const name = nameOf({ destination, id });
      if (!came.has(name) && !dead.has(name))
        yield {
          kind: "event lost on the way to a destination",
          what: `${id} of ${keys.join(" and ")} to ${destination}`,
        };
    }
  }
}

/** Within a destination and a key: first deliveries in the order of the journal, and none again after a newer one. */
function checkOrder({ journal, received, stalls }: EventEvidence) {
  const places = new Map(journal.map((entry, place) => [entry.id, { place, keys: entry.keys }]));
  const newest = new Map<string, number>();
  const seen = new Set<string>();
  const violations: EventVerdict["violations"] = [];
  let duplicates = 0;
  let excused = 0;
  for (const delivered of received) {
    const entry = places.get(delivered.id);
    if (!entry) continue; // Redis lost it with its last second: where it stood in the order is not known
    const first = !seen.has(nameOf(delivered));
    seen.add(nameOf(delivered));
    if (!first) duplicates += 1;
    const overtaken = entry.keys.filter((key) => (newest.get(`${delivered.destination} ${key}`) ?? -1) > entry.place);
    const held =
      !first && stalls.some(({ from, to }) => delivered.time >= from && delivered.time <= to + STALL_TAIL_MS);
    if (overtaken.length > 0 && held) excused += 1;
    else if (overtaken.length > 0)
      violations.push({
        kind: first ? "event out of order at a destination" : "event that comes again after a newer one",
        what: `${nameOf(delivered)} of ${overtaken.join(" and ")}, at ${new Date(delivered.time).toISOString()}`,
      });
    for (const key of entry.keys) {
      const name = `${delivered.destination} ${key}`;
      newest.set(name, Math.max(newest.get(name) ?? -1, entry.place));
    }
  }
  return { violations, duplicates, excused };
}

function* checkLeft({ left }: EventEvidence): Violations {
  for (const what of left) yield { kind: "event left in an outbox", what };
}
