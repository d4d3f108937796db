import {
  type Context,
  ROOT_CONTEXT,
  type Sampler,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
} from "@opentelemetry/api";
import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type ReadableSpan,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { TracingConfig } from "./env.ts";
import { createSpanExporter, type SpanExporter, type SpanExporterOptions } from "./exporter.ts";
import { formatTraceparent, parseTraceparent } from "./traceparent.ts";
import { type Attributes, type SpanName, SPANS, type Tracer } from "./tracer.ts";

/** What a span may hold at most: with these, a full batch has less than 1 MB. */
const LIMITS = { attributeCountLimit: 12, attributeValueLengthLimit: 128, eventCountLimit: 0, linkCountLimit: 0 };

const KINDS = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
} as const;

function samplerOf({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: ratio }: TracingConfig): Sampler {
  const root = name.endsWith("traceidratio")
    ? new TraceIdRatioBasedSampler(ratio)
    : name.endsWith("always_off")
      ? new AlwaysOffSampler()
      : new AlwaysOnSampler();
  return name.startsWith("parentbased_") ? new ParentBasedSampler({ root }) : root;
}

function contextOf(parent: string | undefined): Context {
  const remote = parseTraceparent(parent);
  if (!remote) return ROOT_CONTEXT;
  const { traceId, spanId, sampled } = remote;
  const traceFlags = sampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

const given = (attributes: Attributes) =>
  Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined)) as Record<
    string,
    string | number
  >;

/** The tracer of OpenTelemetry's SDK: this file alone knows it, and is loaded only where traces are exported. */
export function createTracer(
  config: TracingConfig,
  service: string,
  options: Omit<SpanExporterOptions<ReadableSpan>, "serialize">,
): { tracer: Tracer; exporter: SpanExporter<ReadableSpan> } {
  const exporter = createSpanExporter<ReadableSpan>({
    ...options,
    serialize: (spans) => JsonTraceSerializer.serializeRequest(spans),
  });
  const provider = new TracerProvider({
    sampler: samplerOf(config),
    resource: resourceFromAttributes({ "service.name": service }),
    spanLimits: LIMITS,
    spanProcessors: [
      {
        onStart: () => undefined,
        onEnd: exporter.add,
        forceFlush: exporter.flush,
        shutdown: exporter.stop,
      },
    ],
  });
  const otel = provider.getTracer("socket-bridge");

  function start(name: SpanName, parent: string | undefined, attributes: Attributes = {}, agoMs?: number) {
    const startTime = agoMs === undefined ? {} : { startTime: Date.now() - agoMs };
    const about = { kind: KINDS[SPANS[name]], attributes: given(attributes), ...startTime };
    const span = otel.startSpan(name, about, contextOf(parent));
    const { traceId, spanId, traceFlags } = span.spanContext();
    const sampled = (traceFlags & TraceFlags.SAMPLED) !== 0;
    return {
      traceparent: formatTraceparent({ traceId, spanId, sampled }),
      end(more: Attributes = {}, failed?: string) {
        span.setAttributes(given(more));
        if (failed !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: failed });
        span.end();
      },
    };
  }
  return { tracer: { start }, exporter };
}
