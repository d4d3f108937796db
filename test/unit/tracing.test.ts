import { spawnSync } from "node:child_process";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { tracingEnv } from "../../shared/tracing/env.ts";
import { createSpanExporter } from "../../shared/tracing/exporter.ts";
import { toTraceparent } from "../../shared/tracing/traceparent.ts";
import { until } from "../../tools/support/until.ts";
import { keptLog } from "../support/log.ts";
import { startOtlpReceiver } from "../support/otlp-receiver.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const VALID = `00-${TRACE}-${SPAN}-01`;

test.each<[given: string | undefined, stored: string | undefined]>([
  [VALID, VALID],
  [` ${VALID} `, VALID],
  // Of the flags only `sampled` is known.
  [`00-${TRACE}-${SPAN}-ff`, VALID],
  [`00-${TRACE}-${SPAN}-fe`, `00-${TRACE}-${SPAN}-00`],
  // A later version may say more.
  [`cc-${TRACE}-${SPAN}-01-more`, VALID],
  [`cc-${TRACE}-${SPAN}-01${"-more".repeat(100)}`, undefined],
  [`00-${TRACE}-${SPAN}-01-more`, undefined],
  [`ff-${TRACE}-${SPAN}-01`, undefined],
  [`00-${"0".repeat(32)}-${SPAN}-01`, undefined],
  [`00-${TRACE}-${"0".repeat(16)}-01`, undefined],
  [VALID.toUpperCase(), undefined],
  [VALID.slice(0, -1), undefined],
  ["", undefined],
  [undefined, undefined],
])("reads the traceparent %s as %s", (given, stored) => {
  expect(toTraceparent(given)).toBe(stored);
});

test.each<[given: string, headers: Record<string, string> | "refused"]>([
  ["authorization=Bearer%20abc, x-org = 7", { authorization: "Bearer abc", "x-org": "7" }],
  ["a=b=c,", { a: "b=c" }],
  ["no-value", "refused"],
  ["a=%zz", "refused"],
  ["a=%0d%0ab", "refused"],
  ["a b=c", "refused"],
])("reads OTEL_EXPORTER_OTLP_HEADERS %j as %j", (given, headers) => {
  const { data } = z.object(tracingEnv).safeParse({ OTEL_EXPORTER_OTLP_HEADERS: given });
  expect(data?.OTEL_EXPORTER_OTLP_HEADERS ?? "refused").toEqual(headers);
});

test("what waits for a collector is bounded: the rest is dropped and counted, and a stop waits for 1 s at most", async () => {
  const collector = await startOtlpReceiver();
  onTestFinished(() => collector.stop());
  collector.answer("hang");
  const counted = { exported: 0, failed: 0, dropped: 0 };
  const { log } = keptLog();
  const exporter = createSpanExporter<number>({
    url: `${collector.url}/v1/traces`,
    headers: {},
    serialize: () => new TextEncoder().encode('{"resourceSpans":[]}'),
    onOutcome: (outcome, spans) => void (counted[outcome] += spans),
    background: true,
    log,
  });
  for (let i = 0; i < 10_000; i += 1) exporter.add(i);
  expect(counted).toEqual({ exported: 0, failed: 0, dropped: 10_000 - 2048 });
  void exporter.flush();
  await until("the collector has a request", () => collector.requests.length === 1);
  const from = performance.now();
  await exporter.stop();
  expect(performance.now() - from).toBeLessThan(2000);
  await until("all are accounted for", () => counted.failed + counted.dropped === 10_000);
});

test("nothing of OpenTelemetry's SDK is loaded without OTEL_EXPORTER_OTLP_ENDPOINT", { timeout: 60_000 }, () => {
  // Its API alone is: @prometheus-io/client imports it.
  const code = `
    import { registerHooks } from "node:module";
    let loaded = 0;
    registerHooks({ resolve(name, context, next) {
      const found = next(name, context);
      if (/@opentelemetry\\/(?!api\\/)/.test(found.url)) loaded += 1;
      return found;
    } });
    await import("./functions/hosts/node.ts");
    await import("./worker/fleet/fleet.ts");
    const { openTracing } = await import("./shared/tracing/open-tracer.ts");
    const tell = async (config) => {
      await openTracing({ config, process: "worker", background: true, log: console });
      console.log(loaded > 0);
    };
    await tell({});
    await tell({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", OTEL_TRACES_SAMPLER: "always_on" });`;
  const options = { cwd: new URL("../..", import.meta.url), encoding: "utf8", timeout: 55_000 } as const;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], options);
  expect([stdout, stderr]).toEqual(["false\ntrue\n", ""]);
});
