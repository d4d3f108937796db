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
   * Calls the handler with each event of this name whose payload parses; `*` is every journal entry, including malformed and
   * unknown ones. Handlers are called one after another, in journal order. Returns a function that unsubscribes.
   */
  on<Event extends StreamEvent>(event: Event, handler: Handler<Event>): () => void;
  on(event: "*", handler: AnyHandler): () => void;
  /** Resolves once the stream is open; nothing is missed from then on. */
  listening(): Promise<void>;
  /** The id of the last handled entry. */
  position(): string | undefined;
  /** Ends the stream once the running handler has finished. */
  close(): Promise<void>;
}

/** `on`, over one stream shared by all handlers. */
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
    // A new wrapper each time, so that registering a function twice makes two subscriptions.
    const own: AnyHandler = (payload, entry) => handler(payload, entry);
    handlers.set(event, all.add(own));
    if (!known) stream.refresh();
    return () => {
      all.delete(own);
      // The stream may deliver this name until it reconnects, but no handler is called.
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
