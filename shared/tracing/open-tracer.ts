import type { Log } from "../util/log.ts";
import type { TracingConfig } from "./env.ts";
import type { SpanOutcome } from "./exporter.ts";
import { NO_TRACER, type Tracer } from "./tracer.ts";

export interface Tracing {
  tracer: Tracer;
  /** Sends what waits; never rejects. */
  flush(): Promise<void>;
  /** Sends the last spans, within 1 s. */
  stop(): Promise<void>;
}

export const NO_TRACING: Tracing = { tracer: NO_TRACER, flush: async () => undefined, stop: async () => undefined };

export interface TracingOptions {
  config: TracingConfig;
  process: "functions" | "worker";
  onOutcome?(outcome: SpanOutcome, spans: number): void;
  /** See SpanExporterOptions. */
  background: boolean;
  log: Log;
}

/** Traces if OTEL_EXPORTER_OTLP_ENDPOINT is set; else nothing of OpenTelemetry is even loaded. */
export async function openTracing(options: TracingOptions): Promise<Tracing> {
  const { config, process, background, log } = options;
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_HEADERS: headers = {} } = config;
  if (endpoint === undefined) return NO_TRACING;
  const { createTracer } = await import("./open-telemetry.ts");
  const service = config.OTEL_SERVICE_NAME ?? `socket-bridge-${process}`;
  const onOutcome = options.onOutcome ?? (() => undefined);
  const url = `${endpoint.replace(/\/+$/, "")}/v1/traces`;
  const { tracer, exporter } = createTracer(config, service, { url, headers, onOutcome, background, log });
  return { tracer, flush: exporter.flush, stop: exporter.stop };
}
