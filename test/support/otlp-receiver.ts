import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/** A span as a collector gets it. */
export interface CollectedSpan {
  service: string;
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId: string;
  attributes: Record<string, unknown>;
  /** 2: it failed. */
  status: number;
  /** ms */
  durationMs: number;
}

export interface OtlpReceiver {
  /** OTEL_EXPORTER_OTLP_ENDPOINT */
  url: string;
  spans: CollectedSpan[];
  requests: { path: string; headers: IncomingHttpHeaders; bytes: number; spans: number }[];
  /** From now on it answers this; 200 at first. `hang`: never. */
  answer(status: number | "hang"): void;
  stop(): Promise<void>;
}

interface Attribute {
  key: string;
  value: Record<string, unknown>;
}
interface Otlp {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: { spans: (Record<string, string> & { attributes?: Attribute[]; status?: { code?: number } })[] }[];
  }[];
}

const valuesOf = (attributes: Attribute[] = []) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));

const spansOf = ({ resourceSpans }: Otlp): CollectedSpan[] =>
  resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        service: String(valuesOf(resource.attributes)["service.name"]),
        ...{ name: span["name"] ?? "", traceId: span["traceId"] ?? "", spanId: span["spanId"] ?? "" },
        parentSpanId: span["parentSpanId"] ?? "",
        attributes: valuesOf(span.attributes),
        status: span.status?.code ?? 0,
        durationMs: Number(BigInt(span["endTimeUnixNano"] ?? 0) - BigInt(span["startTimeUnixNano"] ?? 0)) / 1e6,
      })),
    ),
  );

/** A collector of OpenTelemetry: takes OTLP over HTTP as JSON, on a real port. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: CollectedSpan[] = [];
  const requests: OtlpReceiver["requests"] = [];
  let status: number | "hang" = 200;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("error", () => undefined);
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      const got = spansOf(JSON.parse(body.toString("utf8")) as Otlp);
      requests.push({ path: request.url ?? "", headers: request.headers, bytes: body.length, spans: got.length });
      if (status === "hang") return;
      if (status === 200) spans.push(...got);
      response.writeHead(status, { "content-type": "application/json" }).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    requests,
    answer: (next) => void (status = next),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
