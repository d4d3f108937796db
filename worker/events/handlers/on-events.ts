import { type EventName, eventNamed, type PayloadOf } from "../../../shared/events/table.ts";
import type { JournalEntry } from "../../../shared/journal/entry.ts";
import type { Declined, Handler, Task } from "./handler.ts";

/** What a handler does with each event. An event that is not in the table, or another payload than its schema's, does not compile. */
export type EventHandlers = {
  readonly [Name in EventName]?: (
    payload: PayloadOf<Name>,
    entry: Omit<JournalEntry, "payload">,
  ) => Task | Declined | undefined;
};

type AnyHandler = (payload: unknown, entry: JournalEntry) => Task | Declined | undefined;

/** A `plan` for handlers of single events: payloads are parsed by the event's schema, all other entries are left alone. */
export function onEvents(handlers: EventHandlers): Handler["plan"] {
  // The key names the event whose schema parses what its function gets: so each may be taken for one that takes anything.
  const byName = new Map(Object.entries(handlers) as [string, AnyHandler][]);
  return (entry) => {
    const handle = entry.kind === "event" ? byName.get(entry.event) : undefined;
    const parsed = handle && eventNamed(entry.event)?.payload.safeParse(entry.payload);
    return handle && parsed?.success ? handle(parsed.data, entry) : undefined;
  };
}
