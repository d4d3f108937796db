import type { OrderingKey } from "../vocabulary/ordering-key.ts";
import type { Micros } from "../util/time.ts";

/**
 * `event`: a known event, parsed by its schema. `malformed`: a known event whose payload does not parse, see `wrong`.
 * `unknown`: not in the event table. `bridge`: written by the bridge, such as a gap, or a known event that it delivered to a CAD
 * that received but does not broadcast it.
 */
export const ENTRY_KINDS = ["event", "malformed", "unknown", "bridge"] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

/** The entries that the bridge itself writes. */
export const BRIDGE_EVENTS = {
  /** Events of this period may be missing: `{ from, to, reason }`. */
  gap: "bridge:gap",
  /** Entries were removed before a handler that was far behind reached them: `{ handler, from, to }`, ids of entries. */
  skipped: "bridge:handler-skipped",
  /** An incident of the highest priority was created: `{ entry, priority }`, the id of its `incident:new` and 1. */
  highPriority: "bridge:high-priority",
  /** A problem of the bridge began or ended, as in GET /health. */
  problemOpened: "bridge:problem:opened",
  problemResolved: "bridge:problem:resolved",
} as const;

/** An entry to be written. */
export interface NewEntry {
  kind: EntryKind;
  event: string;
  /** The units and incidents concerned. */
  keys: readonly OrderingKey[];
  payload: unknown;
  /** When it happened, if the CAD reports it. */
  occurredAt: Micros | undefined;
  /** Time since it arrived, ms. */
  ageMs: number;
  /** The CAD's id of the event: a second one with the same id is not written. */
  eventId: string | undefined;
  /** The id of the bridge's command whose echo this may be; the journal checks that there is one. */
  own: string | undefined;
  /** true: missed at first, then recovered. false: events were missed and could not be recovered. */
  recovered: boolean | undefined;
  /** Names a fact that both the CAD and the bridge may report: only the first entry with it is written. */
  fact?: string | undefined;
  /** Validation errors, never a value. */
  wrong: readonly string[];
}

/** One entry of the journal. Its id is the stream's: MILLISECONDS-NUMBER, strictly increasing. */
export interface JournalEntry extends Omit<NewEntry, "ageMs"> {
  id: string;
  /** The CAD's scheme and host. */
  cad: string;
  /** Strictly increasing, by Redis's clock. */
  receivedAt: Micros;
  /** Its running number in the journal; undefined for an entry of an earlier version. */
  n?: number | undefined;
  /** The trace that it belongs to. */
  traceparent?: string | undefined;
  /** How many entries right before this one were deleted in Redis. */
  missing?: number;
  /** It was changed, moved or copied in Redis: nothing in it can be trusted. */
  forged?: true;
  /** Size of its stored payload, characters: bounds what is kept in memory. */
  size: number;
}
