import type { JournalEntry } from "../../shared/journal/entry.ts";
import { type Chooser, createChooser } from "../../worker/destinations/handler.ts";
import type { Destination } from "../../worker/destinations/routes.ts";

/** How many event ids are listed per kind of difference. */
const EXAMPLES = 5;

/** How two sets of routes treat the same events, for one destination and event. Contains ids of journal entries, no payloads. */
export interface Difference {
  destination: string;
  event: string;
  before: number;
  after: number;
  /** Events that only the new or only the current routes send; the first few of each. */
  added: string[];
  removed: string[];
  /** Sent by both, but with different fields. */
  otherFields: string[];
  /** How often a filter of the new routes failed; the event then does not match. */
  filterErrors: number;
}

export interface Comparison {
  /** Counts an entry. */
  look(entry: JournalEntry): void;
  rows(): Difference[];
}

/** The fields sent, as comparable text; undefined if the event is not sent. */
type Sends = (entry: JournalEntry) => string | undefined;

function senderOf(destination: Destination | undefined, onFilterError: () => void): Sends {
  const chooser: Chooser = createChooser({
    destination: destination ?? { id: "", phi: false, rules: [] },
    onFilterError,
  });
  return (entry) => {
    try {
      const { rule } = chooser.ruleFor(entry);
      return rule && JSON.stringify(rule.fields ?? null);
    } catch {
      // Evaluation took too long.
      onFilterError();
      return undefined;
    }
  };
}

const find = (all: readonly Destination[], id: string) => all.find((one) => one.id === id);
const keep = (list: string[], id: string) => void (list.length < EXAMPLES && list.push(id));

export function createComparison(before: readonly Destination[], after: readonly Destination[]): Comparison {
  const rows = new Map<string, Difference>();
  let failed = 0;
  const ids = [...new Set([...before, ...after].map(({ id }) => id))].toSorted();
  const pairs = ids.map((id) => ({
    id,
    was: senderOf(find(before, id), () => undefined),
    is: senderOf(find(after, id), () => void (failed += 1)),
  }));

  function rowOf(destination: string, event: string): Difference {
    const key = `${destination} ${event}`;
    const none = { before: 0, after: 0, added: [], removed: [], otherFields: [], filterErrors: 0 };
    const row = rows.get(key) ?? { destination, event, ...none };
    rows.set(key, row);
    return row;
  }

  return {
    look(entry) {
      for (const { id, was, is } of pairs) {
        failed = 0;
        const [old, next] = [was(entry), is(entry)];
        if (old === undefined && next === undefined && failed === 0) continue;
        const row = rowOf(id, entry.event);
        row.filterErrors += failed;
        if (old !== undefined) row.before += 1;
        if (next !== undefined) row.after += 1;
        if (old === undefined && next !== undefined) keep(row.added, entry.id);
        if (old !== undefined && next === undefined) keep(row.removed, entry.id);
        if (old !== undefined && next !== undefined && old !== next) keep(row.otherFields, entry.id);
      }
    },
    rows: () =>
      [...rows.values()].toSorted(
        (a, b) => a.destination.localeCompare(b.destination) || a.event.localeCompare(b.event),
      ),
  };
}
