import type { Redis } from "ioredis";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import type { DeliveryOutcome } from "../../shared/destinations/outcome.ts";
import { openOutcomeReader } from "../../shared/destinations/outcome-reader.ts";
import { journalKeys } from "../../shared/journal/keys.ts";
import { type EntryQuery, type Followed, type Listed, openJournalPages } from "../../shared/journal/pages.ts";
import { type Handled, readHandled } from "../../shared/journal/checkpoints.ts";
import type { Sealer } from "../../shared/sealing/seal.ts";
import {
  openStateReader,
  type StateKind,
  type StatePage,
  type StateQuery,
  type StateRecord,
} from "../../shared/state/read.ts";
import type { Waiter } from "./channel-subscriber.ts";

/** What the functions ask of the CAD's events, and of what is known from them. */
export interface EventCalls {
  /** What follows an entry of the journal; waits up to `ms` for it. Without an entry: where the journal ends, at once. */
  readEvents(after: string | undefined, limit: number, ms: number): Promise<Followed>;
  listEvents(query: EntryQuery): Promise<Listed>;
  /** An entry, its outcome at each handler, and at each destination. */
  readEvent(
    id: string,
  ): Promise<{ entry: JournalEntry; handled: Handled[]; destinations: DeliveryOutcome[] } | undefined>;
  readState(kind: StateKind, id: string): Promise<StateRecord | undefined>;
  listState(kind: StateKind, query: StateQuery): Promise<StatePage>;
}

const nothing = (read: Followed): boolean => read.outcome === "page" && read.entries.length === 0;

/** @param prefix REDIS_PREFIX */
export function createEventCalls(
  redis: Redis,
  prefix: string,
  sealer: Sealer,
  channel: Waiter,
  noteForged: (what: string) => void,
): EventCalls {
  const keys = journalKeys(prefix);
  const outcomes = openOutcomeReader(redis, prefix, sealer);
  const pages = openJournalPages(redis, keys, sealer);
  const state = openStateReader(redis, keys, sealer);
  const reading = new Map<string, Promise<Followed>>();

  /** Streams that keep up all read the same page at the same moment: it is read and opened once. */
  function share(after: string | undefined, limit: number): Promise<Followed> {
    const key = `${after ?? ""} ${limit}`;
    const before = reading.get(key);
    if (before) return before;
    const page = pages.follow(after, limit).finally(() => reading.delete(key));
    reading.set(key, page);
    return page;
  }

  return {
    async readEvents(after, limit, ms) {
      const page = await share(after, limit);
      if (after === undefined || ms === 0 || !nothing(page)) return page;
      return channel.during(keys.channel, ms, async (news) => {
        // Not a page that somebody else asked for: it may be from before the listening began.
        const again = await pages.follow(after, limit);
        return nothing(again) && (await news()) ? share(after, limit) : again;
      });
    },

    listEvents: pages.list,

    async readEvent(id) {
      const [entry, handled] = await Promise.all([
        pages.get(id),
        readHandled(redis, keys, sealer, id, () => noteForged("outcome")),
      ]);
      return entry && { entry, handled, destinations: (await outcomes([{ entry, handled }]))[0] ?? [] };
    },

    readState: state.get,
    listState: state.list,
  };
}
