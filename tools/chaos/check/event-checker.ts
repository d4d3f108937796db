import type { Stall } from "./checker.ts";

/** Checks the event direction by what is visible from outside: the journal, and what each destination received. */

/** An entry of the journal. */
export interface Journalled {
  id: string;
  /** Its units and incidents. */
  keys: readonly string[];
  /** The destinations whose rules match it. */
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
  /** In journal order. */
  journal: readonly Journalled[];
  /** In order of arrival. */
  received: readonly Delivered[];
  /** Dead letters, as `DESTINATION ID`. */
  dead: ReadonlySet<string>;
  /** What the destinations' outboxes still hold at the end of the run. */
  left: readonly string[];
  /** Ids of the events the CAD sent, without repeats, in order per unit and incident. */
  sent: readonly string[];
  /** The CAD's ids of the journal's entries, in journal order. */
  kept: readonly string[];
  /** Gaps that the journal records. */
  gaps: number;
  /** A frozen worker delivers what it had already sent when it resumes: such repeats are counted, but not a failure. */
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
  /** Older events that a frozen worker delivered again after a newer one. */
  excused: number;
  gaps: number;
}

/** How long after the end of a stall its held requests may still arrive, ms. */
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

/** An event that is missing and not covered by a gap is lost. */
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

/** Within a destination and a key: first deliveries in journal order, and no older event again after a newer one. */
function checkOrder({ journal, received, stalls }: EventEvidence) {
  const places = new Map(journal.map((entry, place) => [entry.id, { place, keys: entry.keys }]));
  const newest = new Map<string, number>();
  const seen = new Set<string>();
  const violations: EventVerdict["violations"] = [];
  let duplicates = 0;
  let excused = 0;
  for (const delivered of received) {
    const entry = places.get(delivered.id);
    if (!entry) continue; // Redis lost it with its last second: its place in the order is unknown
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
