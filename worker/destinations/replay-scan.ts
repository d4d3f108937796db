import {
  entryOf,
  NOTHING_FOUND,
  replayedAs,
  type ReplayFound,
  type ReplayRequest,
  type ReplayStatus,
} from "../../shared/destinations/replay.ts";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import { entriesAfter } from "../../shared/journal/entries.ts";
import { nameMatches } from "../../shared/journal/filter.ts";
import type { JournalReader } from "../../shared/journal/read.ts";
import { compareIds, idBefore, idTime, isEntryId } from "../../shared/redis/stream-id.ts";
import { compileFilter, type Filter } from "./filter.ts";
import type { ReplayEvent } from "./replay-state.ts";

export interface ReplayScanOptions {
  journal: Pick<JournalReader, "page" | "bounds" | "upTo">;
  /** The ids of what waits in the outbox, the oldest first. */
  waiting(): Promise<string[]>;
  /** DESTINATION_BACKLOG: with what waits, a replay may not be more. */
  backlog: number;
  /** Whether a rule sends it. */
  wants(entry: JournalEntry): boolean;
  signal: AbortSignal;
}

/** A message that waits, and the one of the replay that takes its place. */
export interface Superseded {
  id: string;
  by: string;
}

/** Finds in the journal what a replay asks for. */
export interface ReplayScan {
  /** Whether a request selects an entry. A filter that cannot be evaluated counts as no. */
  chooserOf(request: ReplayRequest): Chooser;
  /** Counts up to an entry, the newest if undefined; or says why the replay cannot be done. Throws SealError. */
  count(request: ReplayRequest, until: string | undefined): Promise<ReplayEvent>;
  /**
   * What waits, was never sent, and is among what the replay sends: it is sent once, by the replay, in its order. The newest first,
   * so that none overtakes another.
   */
  waitingAgain(status: ReplayStatus): Promise<Superseded[]>;
}

export interface Chooser {
  choose(entry: JournalEntry): boolean;
  /** Why the filter is none. */
  error: string | undefined;
}

type Refusal = NonNullable<ReplayStatus["refusal"]>;
const refused = (code: Refusal["code"], reason: string, oldest: string | null = null): ReplayEvent => ({
  type: "refused",
  refusal: { code, reason, oldest },
});

/** The first entry that may be meant. */
export const startOf = ({ from }: ReplayRequest): string =>
  isEntryId(from) ? from : `${idTime(Date.parse(from) * 1000)}-0`;

function createChooser({ events, filter: expression }: ReplayRequest): Chooser {
  const compiled = expression === undefined ? undefined : compileFilter(expression);
  const filter: Filter = compiled && "filter" in compiled ? compiled.filter : () => expression === undefined;
  return {
    error: compiled && "error" in compiled ? compiled.error : undefined,
    choose(entry) {
      if (events && !events.some((pattern) => nameMatches(entry.event, pattern))) return false;
      try {
        return filter(entry);
      } catch {
        return false;
      }
    },
  };
}

function addTo(found: ReplayFound, { id, event }: JournalEntry): ReplayFound {
  const events = { ...found.events, [event]: (found.events[event] ?? 0) + 1 };
  return { count: found.count + 1, first: found.first ?? id, last: id, events };
}

export function createReplayScan(options: ReplayScanOptions): ReplayScan {
  const { journal, signal } = options;
  /** Of the last request: its filter is compiled once. */
  let last: { id: string; chooser: Chooser } | undefined;

  function chooserOf(request: ReplayRequest): Chooser {
    if (last?.id !== request.id) last = { id: request.id, chooser: createChooser(request) };
    return last.chooser;
  }

  /** The entries from a replay's first on, up to one. */
  const entries = (request: ReplayRequest, until: string) =>
    entriesAfter(journal, idBefore(startOf(request)), { until, signal });
  const wanted = (entry: JournalEntry, choose: (entry: JournalEntry) => boolean): boolean => {
    try {
      return choose(entry) && options.wants(entry);
    } catch {
      return false;
    }
  };

  /** Why it cannot be done, by what the journal has. */
  async function outOfReach(request: ReplayRequest): Promise<ReplayEvent | undefined> {
    const { oldest, trimmed } = await journal.bounds();
    const start = startOf(request);
    if (trimmed && (oldest === undefined || compareIds(start, oldest) < 0))
      return refused("gone", "the journal no longer reaches back that far", oldest ?? null);
    if (!isEntryId(request.from)) return undefined;
    const [first] = (await journal.page(idBefore(start), 1)).entries;
    return first?.id === start ? undefined : refused("unknown-event", `the journal has no entry ${start}`);
  }

  async function count(request: ReplayRequest, until: string | undefined): Promise<ReplayEvent> {
    const { choose, error } = chooserOf(request);
    if (error !== undefined) return refused("bad-filter", `it cannot work as a filter: ${error}`);
    const beyond = await outOfReach(request);
    if (beyond) return beyond;
    let found = NOTHING_FOUND;
    for await (const entry of entries(request, until ?? (await journal.bounds()).newest))
      if (wanted(entry, choose)) found = addTo(found, entry);
    const room = options.backlog - (await options.waiting()).length;
    if (!request.dryRun && found.count > room)
      return refused("too-many", `${found.count} events are to be sent, and its outbox has room for ${room} more`);
    return { type: "counted", found };
  }

  async function waitingAgain({ request, before, until }: ReplayStatus): Promise<Superseded[]> {
    if (until === null) return [];
    const start = startOf(request);
    const suffixes = ["", ...before.map((id) => replayedAs("", id))];
    const waiting = (await options.waiting()).filter((id) => {
      const entry = entryOf(id);
      if (!isEntryId(entry) || !suffixes.includes(id.slice(entry.length))) return false;
      return compareIds(entry, start) >= 0 && compareIds(entry, until) <= 0;
    });
    if (waiting.length === 0) return [];
    const among = new Set(waiting.map(entryOf));
    const again = new Set<string>();
    const { choose } = chooserOf(request);
    for await (const entry of entries(request, until))
      if (among.has(entry.id) && wanted(entry, choose)) again.add(entry.id);
    return waiting
      .filter((id) => again.has(entryOf(id)))
      .map((id) => ({ id, by: replayedAs(entryOf(id), request.id) }))
      .toReversed();
  }

  return { chooserOf, count, waitingAgain };
}
