/** 55 characters of version 00; a later version may append more, of which nobody knows how much. */
const MAX_LENGTH = 256;
const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The context of a span, as W3C Trace Context has it. */
export interface TraceContext {
  traceId: string;
  spanId: string;
  sampled: boolean;
}

/** Reads a `traceparent`; undefined if it is not valid, which by W3C Trace Context means a new trace, and is no error. */
export function parseTraceparent(header: string | undefined): TraceContext | undefined {
  if (header === undefined || header.length > MAX_LENGTH) return undefined;
  const [, version, traceId = "", spanId = "", flags = "", more] = FORM.exec(header.trim()) ?? [];
  if (version === undefined || version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** In the form of version 00, whatever version it came in: 55 characters. */
export const formatTraceparent = ({ traceId, spanId, sampled }: TraceContext): string =>
  `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;

/** A `traceparent` as it is stored and forwarded; undefined if it is not valid. */
export function toTraceparent(header: string | undefined): string | undefined {
  const context = parseTraceparent(header);
  return context && formatTraceparent(context);
}
