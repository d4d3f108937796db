import type { EntryResponse } from "../shared/journal/to-response.ts";
import { clientError, errorOf, SocketBridgeError } from "./errors.ts";
import { type Connection, request, send, withTimeout } from "./request.ts";
import { backoffMs, sleep } from "./retry.ts";
import { createSseParser, type SseEvent } from "./sse.ts";

const POSITION_EVENT = "bridge:position";

export interface StreamOptions {
  connection: Connection;
  /** Time limit for opening a stream, ms. */
  timeoutMs: number;
  /** A stream without a byte for this long is dead, ms: the bridge sends a heartbeat every 15 s unless configured otherwise. */
  silenceMs: number;
  /** The id after which to start; undefined: with new entries. */
  position: string | undefined;
  /** The event names to request; `*` for all. */
  names(): readonly string[];
  onEntry(entry: EntryResponse): Promise<void>;
  onPosition(id: string): void;
  onError(error: SocketBridgeError): void;
}

export interface EntryStream {
  /** Resolves once the stream has a position, from which nothing is missed. Rejects if it is closed before. */
  listening(): Promise<void>;
  position(): string | undefined;
  /** Starts it, or restarts it with other names from its position. */
  refresh(): void;
  close(): Promise<void>;
}

/**
 * Reads GET /events until closed: each connection resumes after the last handled entry. An entry counts as handled when
 * `onEntry` has finished, and the next one waits for that, so nothing accumulates here.
 */
export function createEntryStream(options: StreamOptions): EntryStream {
  const { connection } = options;
  const closing = new AbortController();
  const placed = Promise.withResolvers<void>();
  placed.promise.catch(() => undefined);
  let position = options.position;
  let round = new AbortController();
  let running: Promise<void> | undefined;

  function reach(id: string): void {
    position = id;
    options.onPosition(id);
    placed.resolve();
  }

  async function handle({ event, data, id }: SseEvent): Promise<void> {
    if (event !== POSITION_EVENT) await options.onEntry(JSON.parse(data) as EntryResponse);
    if (id) reach(id);
  }

  /** The entries before `oldest` are gone: reports it, and continues with `oldest` itself. */
  async function skipTo(oldest: string | null | undefined): Promise<void> {
    if (!oldest) return void (position = undefined);
    const ask = { method: "GET", path: `/events/${oldest}`, attemptMs: options.timeoutMs } as const;
    const answer = await request(connection, { ...ask, deadlineMs: options.timeoutMs, signal: closing.signal }).catch(
      (error: unknown) => {
        // A token limited to some units may not be allowed to see it.
        if (error instanceof SocketBridgeError && error.code === "not-found") return undefined;
        throw error;
      },
    );
    const entry = answer?.body as EntryResponse | undefined;
    if (entry && isNamed(entry.event, options.names())) await options.onEntry(entry);
    reach(oldest);
  }

  async function open(signal: AbortSignal): Promise<Response> {
    const query = options.names().includes("*")
      ? ""
      : `?${options
          .names()
          .map((name) => `event=${encodeURIComponent(name)}`)
          .join("&")}`;
    const resume = position === undefined ? {} : { "Last-Event-ID": position };
    const response = await send(
      connection,
      { method: "GET", path: `/events${query}`, headers: { Accept: "text/event-stream", ...resume } },
      signal,
    );
    if (response.ok && response.headers.get("Content-Type")?.startsWith("text/event-stream")) return response;
    throw errorOf(response.status, response.headers, await response.json().catch(() => undefined));
  }

  /** Reads one connection until it ends. */
  async function readOnce(onOpen: () => void): Promise<void> {
    const signal = AbortSignal.any([closing.signal, round.signal]);
    const leaving = new AbortController();
    const leave = () => leaving.abort();
    signal.addEventListener("abort", leave, { once: true });
    try {
      const response = await withTimeout(options.timeoutMs, signal, (until) => {
        until.addEventListener("abort", leave, { once: true });
        return open(leaving.signal);
      });
      onOpen();
      const reader = (response.body ?? new ReadableStream()).getReader() as ReadableStreamDefaultReader<Uint8Array>;
      const decoder = new TextDecoder();
      const parse = createSseParser();
      for (;;) {
        const part = await withTimeout(options.silenceMs, signal, (until) => {
          until.addEventListener("abort", leave, { once: true });
          return reader.read();
        });
        if (part.done) return;
        for (const event of parse(decoder.decode(part.value, { stream: true }))) {
          if (signal.aborted) return;
          await handle(event);
        }
      }
    } finally {
      signal.removeEventListener("abort", leave);
      leave();
    }
  }

  async function recover(failure: unknown): Promise<number> {
    const error =
      failure instanceof SocketBridgeError
        ? failure
        : clientError("unexpected-response", "The stream contains something that is not an event.", { cause: failure });
    options.onError(error);
    if (error.code === "gone") await skipTo(error.problem?.oldest).catch(options.onError);
    return error.retryAfterMs ?? 0;
  }

  async function run(): Promise<void> {
    for (let failures = 0; !closing.signal.aborted;) {
      round = new AbortController();
      let asked = 0;
      try {
        await readOnce(() => void (failures = 0));
      } catch (failure) {
        if (closing.signal.aborted) return;
        if (!round.signal.aborted) asked = await recover(failure);
      }
      failures += 1;
      if (!round.signal.aborted)
        await sleep(
          Math.max(asked, backoffMs(failures, connection.random)),
          AbortSignal.any([closing.signal, round.signal]),
        );
    }
  }

  return {
    listening: () => placed.promise,
    position: () => position,
    refresh() {
      if (closing.signal.aborted) return;
      if (running) round.abort();
      // Subscriptions made together share a connection.
      else running = Promise.resolve().then(run);
    },
    async close() {
      closing.abort();
      placed.reject(clientError("aborted", "The stream was closed."));
      await running;
    },
  };
}

const isNamed = (event: string, names: readonly string[]): boolean => names.includes("*") || names.includes(event);
