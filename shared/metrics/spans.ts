import type { SpanOutcome } from "../tracing/exporter.ts";
import type { Measure } from "./measure.ts";

/** Counts what becomes of the spans of this process. */
export const countSpans =
  ({ count }: Measure) =>
  (result: SpanOutcome, spans: number): void => {
    for (let i = 0; i < spans; i += 1) count("socket_bridge_spans_total", { result });
  };
