import type { JournalEntry } from "../../../shared/journal/entry.ts";
import type { OrderingKey } from "../../../shared/vocabulary/ordering-key.ts";

/**
 * Something that is to be done with the CAD's events. Each handler goes through the journal by itself, at its own pace: one
 * that fails or is slow touches no other. Of entries that share a unit or an incident it gets one after the other; after a
 * crash it may get the last ones again, so it must not matter.
 */
export interface Handler {
  /** Its place in the journal is kept under this name: never rename one. */
  name: string;
  what: string;
  /**
   * What is to be done with an entry; undefined if nothing is and that needs no reason. Only looks, and is asked once for each entry, in the order of the
   * journal; again only where it throws, which is a failure like one of the task.
   */
  plan(entry: JournalEntry): Task | Declined | undefined;
  /** Called once the handler's place in the journal is known, before any entry: `cursor` is the last that it has dealt with. */
  placed?(cursor: string): void;
  /** Called once everything up to that entry is done, and that was noted. */
  noted?(cursor: string): void;
  /** For a handler that may go back in the journal, to do something again. */
  rewind?: Rewind;
}

/** How a handler goes back in the journal. What it stores decides where it is, also after a crash in between. */
export interface Rewind {
  /** @param wake to be called when `wanted` has become true */
  listen(wake: () => void): void;
  wanted(): boolean;
  /** Nothing is in hand, and everything up to `position` is done: stores where it goes back to, and answers it. */
  go(position: string): Promise<string>;
  /** Where a handler begins that was stopped on its way back to where it was. @param cursor its place in the journal */
  resume(cursor: string): Promise<string>;
}

/** Retried until it succeeds. Throws what is to be retried; the message of a HandlerError is safe to show. */
export type Task = () => Promise<Declined | void>;

/** The handler has nothing to do with an entry, for a reason that is kept beside it; without anything of the payload. */
export interface Declined {
  declined: string;
}

/** Why a handler failed, without anything of the payload. */
export class HandlerError extends Error {
  override name = "HandlerError";
}

/** What a handler may ask the bridge to do. */
export interface HandlerTools {
  /**
   * Writes something into the journal that others may want to know. Throws a RedisFault if that cannot be done now.
   * `once`: what was said under this id within a day is not said again.
   */
  say(event: string, keys: readonly OrderingKey[], payload: unknown, once: string): Promise<void>;
}
