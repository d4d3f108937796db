import { clientError } from "./errors.ts";
import { createEntryStream, type StreamOptions } from "./stream.ts";
import type { Entry, StreamEvent, StreamPayloads, EntryResponse } from "./types.ts";

export type Handler<Event extends StreamEvent> = (
  payload: StreamPayloads[Event],
  entry: Entry<StreamPayloads[Event]>,
) => void | Promise<void>;
export type AnyHandler = (payload: unknown, entry: EntryResponse) => void | Promise<void>;

export interface Subscriptions {
  /**
   * Calls the handler with each event of this name whose payload parses; `*` is every entry of the journal, also malformed and
   * unknown ones. Handlers are called one after the other, in the order of the journal. Returns what unsubscribes.
   */
  on<Event extends StreamEvent>(event: Event, handler: Handler<Event>): () => void;
  on(event: "*", handler: AnyHandler): () => void;
  /** Resolves once the stream is open: from then on nothing is missed. */
  listening(): Promise<void>;
  /** The id of the last entry that was handled. */
  position(): string | undefined;
  /** Ends the stream, once the handler that runs is done. */
  close(): Promise<void>;
}

/** `on`, over one stream that all handlers share. */
export function createSubscriptions(options: Omit<StreamOptions, "names" | "onEntry">): Subscriptions {
  const handlers = new Map<string, Set<AnyHandler>>();

  async function call(handler: AnyHandler, entry: EntryResponse): Promise<void> {
    try {
      await handler(entry.payload, entry);
    } catch (cause) {
      options.onError(clientError("handler-failed", `A handler of ${entry.event} failed at ${entry.id}.`, { cause }));
    }
  }

  const stream = createEntryStream({
    ...options,
    names: () => [...handlers.keys()],
    async onEntry(entry) {
      const isParsed = entry.kind === "event" || entry.kind === "bridge";
      const named = isParsed ? [...(handlers.get(entry.event) ?? [])] : [];
      for (const handler of [...named, ...(handlers.get("*") ?? [])]) await call(handler, entry);
    },
  });

  function on(event: string, handler: AnyHandler): () => void {
    const known = handlers.get(event);
    const all = known ?? new Set();
    // A new wrapper each time: the same function twice is two subscriptions.
    const own: AnyHandler = (payload, entry) => handler(payload, entry);
    handlers.set(event, all.add(own));
    if (!known) stream.refresh();
    return () => {
      all.delete(own);
      // The stream may go on bringing this name until it connects again: nobody is called.
      if (all.size === 0 && handlers.size > 1) handlers.delete(event);
    };
  }

  return {
    on,
    listening: stream.listening,
    position: stream.position,
    close: stream.close,
  };
}
