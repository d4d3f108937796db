import type { OrderingKey } from "../vocabulary/ordering-key.ts";
import type { Micros } from "../util/time.ts";

/**
 * - `event`: an event of the table, as its schema parsed it
 * - `malformed`: an event of the table whose payload does not parse; `wrong` says where
 * - `unknown`: an event that is in no table
 * - `bridge`: what the bridge itself has to say, such as a gap; or an event of the table that it delivered to a CAD that has
 *   it, without a broadcast
 */
export const ENTRY_KINDS = ["event", "malformed", "unknown", "bridge"] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

/** What the bridge itself writes into the journal. */
export const BRIDGE_EVENTS = {
  /** Events of this time may be missing: `{ from, to, reason }`. */
  gap: "bridge:gap",
  /** A handler was so far behind that entries were gone before it came to them: `{ handler, from, to }`, ids of entries. */
  skipped: "bridge:handler-skipped",
  /** An incident of the highest priority was created: `{ entry, priority }`, the id of its `incident:new` and 1. */
  highPriority: "bridge:high-priority",
  /** Something is wrong with the bridge, or is not any more: a problem as GET /health has it. */
  problemOpened: "bridge:problem:opened",
  problemResolved: "bridge:problem:resolved",
} as const;

/** What is written. */
export interface NewEntry {
  kind: EntryKind;
  event: string;
  /** The units and incidents that it is about. */
  keys: readonly OrderingKey[];
  payload: unknown;
  /** When it happened, if the CAD reports it. */
  occurredAt: Micros | undefined;
  /** How long ago it came in, ms. */
  ageMs: number;
  /** The CAD's own id of it: a second one with the same id is not written. */
  eventId: string | undefined;
  /** The bridge's own command that it is the echo of; the journal knows whether it is one. */
  own: string | undefined;
  /** true: it was missed at first, and came by recovery. false: something was missed and could not be recovered. */
  recovered: boolean | undefined;
  /** Names a fact that the CAD and the bridge may both report: only the first entry with it is written. */
  fact?: string | undefined;
  /** What does not parse, never a value. */
  wrong: readonly string[];
}

/** One entry of the journal. Its id is the stream's: MILLISECONDS-NUMBER, strictly increasing. */
export interface JournalEntry extends Omit<NewEntry, "ageMs"> {
  id: string;
  /** The scheme and host of the CAD. */
  cad: string;
  /** Strictly increasing, by Redis's clock. */
  receivedAt: Micros;
  /** Its number in the journal since ever; undefined for one of a version before. */
  n?: number | undefined;
  /** The trace that it belongs to. */
  traceparent?: string | undefined;
  /** How many between the one before it and this one were deleted in Redis. */
  missing?: number;
  /** It was changed, moved or copied in Redis: nothing of it is to be believed. */
  forged?: true;
  /** Characters of its payload as it is stored: what is kept of entries in memory is bounded by it. */
  size: number;
}
