import { z } from "zod";
import { env } from "../config/config.ts";

export const SAMPLERS = [
  ...(["always_on", "always_off", "traceidratio"] as const),
  ...(["parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"] as const),
] as const;

/** `name=value,name=value`, the values percent-encoded: the form of OpenTelemetry. */
function parseHeaders(text: string): Record<string, string> | undefined {
  const headers: Record<string, string> = {};
  for (const part of text.split(",").filter((one) => one.trim() !== "")) {
    const [, name = "", value = ""] = /^\s*([\w!#$%&'*+.^`|~-]{1,100})\s*=\s*(.*?)\s*$/.exec(part) ?? [];
    try {
      headers[name.toLowerCase()] = decodeURIComponent(value);
    } catch {
      return undefined;
    }
    if (name === "" || !/^[\x20-\x7e]*$/.test(headers[name.toLowerCase()] ?? "")) return undefined;
  }
  return headers;
}

const HEADERS_FORM = "must be name=value,name=value, with percent-encoded values";

/** The names and meanings are OpenTelemetry's own. */
export const tracingEnv = {
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url({ protocol: /^https?$/, error: "must be an http:// or https:// URL" })
    .optional()
    .describe(
      "Base URL of an OpenTelemetry collector that takes OTLP over HTTP as JSON: traces are sent to `/v1/traces` there. Without it nothing is traced, and incoming `traceparent` headers are passed on.",
    ),
  OTEL_EXPORTER_OTLP_HEADERS: env.note(
    z
      .string()
      .refine((text) => parseHeaders(text) !== undefined, HEADERS_FORM)
      .transform((text) => parseHeaders(text) ?? {})
      .optional()
      .describe("Headers for it, such as `authorization=Bearer%20…`, separated by commas."),
    { secret: true },
  ),
  OTEL_SERVICE_NAME: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe("Name of this process in traces; `socket-bridge-functions` or `socket-bridge-worker` if not set."),
  OTEL_TRACES_SAMPLER: z
    .enum(SAMPLERS, `must be one of ${SAMPLERS.join(", ")}`)
    .default("parentbased_always_on")
    .describe(
      "Which traces are recorded. With `parentbased_…`, whoever sent the `traceparent` decides, and this only for traces that begin here.",
    ),
  OTEL_TRACES_SAMPLER_ARG: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe("Part of the traces that `…traceidratio` records."),
};
const schema = z.object(tracingEnv);
export type TracingConfig = z.infer<typeof schema>;
