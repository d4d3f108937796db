import { createParser } from "eventsource-parser";
import { onTestFinished } from "vitest";
import { POSITION_EVENT } from "../../functions/http/sse.ts";
import type { EntryResponse } from "../../shared/journal/to-response.ts";
import { until } from "../../tools/support/until.ts";

/** A client of GET /events that notes all that it is told. */
export interface StreamClient {
  status: number;
  headers: Headers;
  /** What a stream that was refused says. */
  problem: Record<string, unknown>;
  entries: EntryResponse[];
  /** The event names as the stream has them. */
  names: string[];
  /** How far the stream says it has come: at its beginning, and with each heartbeat. */
  positions: string[];
  /** What a client sends as its Last-Event-ID when it comes back. */
  lastId(): string | undefined;
  /** Waits until so many entries were told. */
  told(count: number, withinMs?: number): Promise<EntryResponse[]>;
  ended(): boolean;
  /** Leaves, in the middle of whatever is being told. */
  leave(): void;
}

export async function openStream(
  bridge: { url: string },
  token: string,
  query = "",
  headers: Record<string, string> = {},
): Promise<StreamClient> {
  const leaving = new AbortController();
  onTestFinished(() => leaving.abort());
  const response = await fetch(`${bridge.url}/events${query}`, {
    headers: { Authorization: `Bearer ${token}`, ...headers },
    signal: leaving.signal,
  });
  const entries: EntryResponse[] = [];
  const names: string[] = [];
  const positions: string[] = [];
  let lastId: string | undefined;
  let ended = false;

  const parser = createParser({
    onEvent: (event) => {
      lastId = event.id;
      if (event.event === POSITION_EVENT) return void positions.push(String(event.id));
      const entry = JSON.parse(event.data) as EntryResponse;
      if (event.id !== entry.id) throw new Error(`the id of the stream is ${event.id}, that of the entry ${entry.id}`);
      entries.push(entry);
      names.push(event.event ?? "message");
    },
  });
  async function read(body: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of body) parser.feed(decoder.decode(bytes, { stream: true }));
  }
  const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream") ?? false;
  const problem = isStream ? {} : ((await response.json()) as Record<string, unknown>);
  if (isStream && response.body) {
    void read(response.body)
      .catch(() => undefined)
      .finally(() => void (ended = true));
  }
  return {
    status: response.status,
    headers: response.headers,
    problem,
    entries,
    names,
    positions,
    lastId: () => lastId,
    told: (count, withinMs) => until(`${count} entries are told`, () => entries.length >= count && entries, withinMs),
    ended: () => ended,
    leave: () => leaving.abort(),
  };
}
