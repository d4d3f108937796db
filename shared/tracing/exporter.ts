import type { Log } from "../util/log.ts";
import { reasonOf } from "../util/reason.ts";
import { sleep } from "../util/sleep.ts";

/** The outcome of spans: `failed` and `dropped` are lost. */
export type SpanOutcome = "exported" | "failed" | "dropped";

/** How many ended spans wait at most; further ones are dropped. A span has at most some 2 kB: see LIMITS in open-telemetry.ts. */
const MAX_WAITING = 2048;
/** How many go in one request. */
const BATCH = 256;
/** How long spans wait for others to go with, ms. */
const EVERY_MS = 1000;
/** The collector's deadline, ms. */
const EXPORT_MS = 5000;
/** How long a stop waits for the last spans, ms. */
const LAST_MS = 1000;
/** How often a failing collector is logged, ms. */
const SAY_EVERY_MS = 60_000;

export interface SpanExporterOptions<S> {
  url: string;
  headers: Readonly<Record<string, string>>;
  serialize(spans: S[]): Uint8Array | undefined;
  onOutcome(outcome: SpanOutcome, spans: number): void;
  /** Whether it sends by itself soon after a span ended; false where nothing runs between requests, and each request flushes. */
  background: boolean;
  log: Log;
}

/** Brings ended spans to the collector. A collector that is slow or gone costs the spans, and nothing else. */
export interface SpanExporter<S> {
  add(span: S): void;
  /** Resolves once what waits was sent, or given up. Never rejects. */
  flush(): Promise<void>;
  /** The last flush, within 1 s. */
  stop(): Promise<void>;
}

/** What fetch fails with says why only in its cause. */
const causeOf = (error: unknown): unknown => (error instanceof TypeError && error.cause) || error;

export function createSpanExporter<S>(options: SpanExporterOptions<S>): SpanExporter<S> {
  const { url, onOutcome, log } = options;
  const stopping = new AbortController();
  let waiting: S[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let sending: Promise<void> | undefined;
  let loggedAt = -Infinity;

  async function post(batch: S[]): Promise<void> {
    const body = options.serialize(batch);
    if (!body) throw new Error("the spans could not be written as OTLP");
    const deadline = AbortSignal.timeout(EXPORT_MS);
    const answer = await fetch(url, {
      method: "POST",
      headers: { ...options.headers, "content-type": "application/json" },
      body: Uint8Array.from(body),
      redirect: "manual",
      signal: options.background ? AbortSignal.any([stopping.signal, deadline]) : deadline,
    });
    await answer.body?.cancel();
    if (!answer.ok) throw new Error(`the collector answered ${answer.status}`);
  }

  async function send(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH);
      waiting = waiting.slice(BATCH);
      try {
        await post(batch);
        onOutcome("exported", batch.length);
      } catch (error) {
        onOutcome("failed", batch.length);
        const now = performance.now();
        if (now - loggedAt >= SAY_EVERY_MS) {
          loggedAt = now;
          log.warn(
            { reason: reasonOf(causeOf(error)), spans: batch.length },
            "traces cannot be exported: these are lost",
          );
        }
        // What waits is tried with the next span: not all of it at once against a collector that is gone.
        return;
      }
    }
  }

  function flush(): Promise<void> {
    // At the edge a promise of one request must not be awaited by another.
    if (!options.background) return send();
    clearTimeout(timer);
    timer = undefined;
    return (sending ??= send().finally(() => (sending = undefined)));
  }

  return {
    add(span) {
      if (waiting.length >= MAX_WAITING) return onOutcome("dropped", 1);
      waiting.push(span);
      if (!options.background || timer !== undefined) return;
      timer = setTimeout(() => void flush(), waiting.length >= BATCH ? 0 : EVERY_MS);
      if (typeof timer === "object") timer.unref();
    },
    flush,
    async stop() {
      const last = (async () => {
        await sending;
        await flush();
      })();
      await Promise.race([last, sleep(LAST_MS)]);
      stopping.abort();
      if (waiting.length > 0) onOutcome("dropped", waiting.length);
      waiting = [];
    },
  };
}
