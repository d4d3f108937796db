import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from "vitest";
import type { Received } from "../../tools/support/receiver.ts";
import { until } from "../../tools/support/until.ts";
import { type Bridge, startBridge } from "../support/bridge.ts";
import { accepts, ALL, freshReceiver, withDestinations, writeRoutes } from "../support/destinations.ts";
import { type OtlpReceiver, startOtlpReceiver } from "../support/otlp-receiver.ts";
import { testRedis } from "../support/redis.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SENT = `00-${TRACE}-b7ad6b7169203331-01`;
const UNSAMPLED = SENT.replace(/01$/, "00");

/** Each test starts a workerd of its own: one is enough to see that it traces as Node does. */
const onNode = inject("host") === "node";
const traceOf = ({ headers }: Received) => String(headers["traceparent"]).split("-")[1];
const status = { unit_id: "M12", status: "enroute" };

/** The only span with this name, of this trace. */
function spanIn(collector: OtlpReceiver, trace: string, name: string) {
  const found = collector.spans.filter((span) => span.traceId === trace && span.name === name);
  expect(found.map((span) => span.name)).toEqual([name]);
  return found[0] as (typeof found)[number];
}

async function allIn(collector: OtlpReceiver, trace: string): Promise<void> {
  const NAMES = ["append", "emit", "journal", "proof", "request", "webhook"];
  const names = () => collector.spans.flatMap(({ traceId, name }) => (traceId === trace ? [name] : []));
  await until("all spans of the trace are there", () => names().toSorted().join() === NAMES.join(), 10_000);
}

describe("with a collector", () => {
  let collector: OtlpReceiver;
  let tracing: Record<string, string>;
  beforeAll(async () => {
    collector = await startOtlpReceiver();
    tracing = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_HEADERS: "x-key=a%20b" };
  });
  afterAll(() => collector.stop());

  async function start(worker: Record<string, string> | false = {}) {
    const receiver = await freshReceiver();
    const destinations = [{ id: "a", url: receiver.url, secret: receiver.secret, phi: true, retry_s: [0.05] }];
    const ROUTES_FILE = writeRoutes({ destinations, rules: [{ to: "a", events: "*" }] });
    const env = { ...tracing, ROUTES_FILE, ALLOW_PRIVATE_DESTINATIONS: "true" };
    const bridge = await startBridge({ functions: tracing, worker: worker && { ...env, ...worker } });
    return { bridge, receiver, env };
  }

  test("one trace leads from the caller through request, append, emit, proof and journal to the webhook", async () => {
    const { bridge, receiver } = await start();
    const { body } = await bridge.post("/units/status", status, { traceparent: SENT });
    await bridge.settled(body["command_id"]);
    const [webhook] = await accepts(receiver, 1);
    await allIn(collector, TRACE);

    const [request, append, emit, proof, journal, posted] = (
      ["request", "append", "emit", "proof", "journal", "webhook"] as const
    ).map((name) => spanIn(collector, TRACE, name));
    expect([request, append, emit, proof, journal, posted].map((span) => span?.parentSpanId)).toEqual([
      "b7ad6b7169203331",
      ...[request?.spanId, append?.spanId, emit?.spanId, append?.spanId, journal?.spanId],
    ]);
    expect(request).toMatchObject({ service: "socket-bridge-functions", status: 0 });
    expect(request?.attributes).toMatchObject({ "http.route": "/units/status", "http.response.status_code": 202 });
    expect(proof?.attributes).toMatchObject({ "socket_bridge.result": "confirmed", "socket_bridge.proved_by": "echo" });
    expect(posted).toMatchObject({ service: "socket-bridge-worker", attributes: { "socket_bridge.destination": "a" } });

    // Where the event began stands in the event; this hop in the header.
    expect(webhook?.event["traceparent"]).toBe(`00-${TRACE}-${journal?.spanId}-01`);
    expect(webhook?.headers["traceparent"]).toBe(`00-${TRACE}-${posted?.spanId}-01`);
    expect(collector.requests.at(-1)).toMatchObject({ path: "/v1/traces", headers: { "x-key": "a b" } });
    const values = collector.spans.flatMap(({ attributes }) => Object.values(attributes).map(String));
    for (const secret of ["M12", "enroute"]) expect(values).not.toContain(secret);
  });

  test.runIf(onNode)("a command that was accepted before the worker started keeps its trace", async () => {
    const { bridge, receiver, env } = await start(false);
    const trace = "1bf7651916cd43dd8448eb211c80319d";
    await bridge.post("/units/status", status, { traceparent: SENT.replace(TRACE, trace) });
    const first = await bridge.startWorker({ ...env, CAD_BACKEND_URL: "http://127.0.0.1:9" });
    await first.stop();
    await bridge.startWorker({ ...env, CAD_MOVED_FROM: "http://127.0.0.1:9" });
    const [webhook] = await accepts(receiver, 1);
    await allIn(collector, trace);
    expect(spanIn(collector, trace, "emit").parentSpanId).toBe(spanIn(collector, trace, "append").spanId);
    expect(webhook && traceOf(webhook)).toBe(trace);
  });

  test.runIf(onNode)("what the caller does not sample is passed on and not exported", async () => {
    const { bridge, receiver } = await start();
    const trace = "2bf7651916cd43dd8448eb211c80319e";
    await bridge.post("/units/status", status, { traceparent: UNSAMPLED.replace(TRACE, trace) });
    const [webhook] = await accepts(receiver, 1);
    expect(webhook?.headers["traceparent"]).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-00$`));
    // An event of the CAD's own begins a trace: by its spans it shows that those of before would be there.
    bridge.cad.broadcast("unit:status:updated", { unitId: "M13", status: "enroute" });
    const [, own] = await accepts(receiver, 2);
    const began = own && traceOf(own);
    await until("its spans are there", () => collector.spans.some((s) => s.traceId === began && s.name === "webhook"));
    expect(began).not.toBe(trace);
    expect(collector.spans.filter(({ traceId, name }) => traceId === began && name === "journal")[0]).toMatchObject({
      parentSpanId: "",
    });
    expect(collector.spans.filter(({ traceId }) => traceId === trace)).toEqual([]);
  });
});

test.runIf(onNode)(
  "a collector that is gone or hangs costs its spans, which are counted, and one line of the log in a minute",
  { timeout: 30_000 },
  async () => {
    const collector = await startOtlpReceiver();
    onTestFinished(() => collector.stop());
    collector.answer(503);
    const tracing = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
    const bridge: Bridge = await startBridge({ functions: tracing, worker: tracing });
    const count = async (result: string) => {
      const { body } = await bridge.get("/metrics");
      const line = String(body["text"])
        .split("\n")
        .find((one) => one.startsWith(`socket_bridge_spans_total{result="${result}"`));
      return Number(line?.split(" ")[1] ?? 0);
    };
    for (const unit of ["M1", "M2"]) {
      const before = await count("failed");
      await bridge.deliver("/units/status", { ...status, unit_id: unit });
      await until("spans are counted as lost", async () => (await count("failed")) > before, 10_000);
    }
    const said = bridge.logs.filter(({ message }) => message.startsWith("traces cannot be exported"));
    // One of the functions, one of the worker.
    expect(said.map(({ fields }) => fields["reason"])).toEqual(Array(2).fill("the collector answered 503"));
    collector.answer("hang");
    await bridge.deliver("/units/status", { ...status, unit_id: "M3" });
    const from = performance.now();
    await bridge.worker()?.stop();
    expect(performance.now() - from).toBeLessThan(4000);
  },
);

describe.runIf(onNode)("without a collector", () => {
  test("a caller's trace is passed on as it is, and an event of the CAD's own has none", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL);
    const { body } = await bridge.post("/units/status", status, { traceparent: SENT });
    await bridge.settled(body["command_id"]);
    bridge.cad.broadcast("unit:status:updated", { unitId: "M13", status: "enroute" });
    const [echo, own] = await accepts(receivers.a, 2);
    expect([echo?.event["traceparent"], echo?.headers["traceparent"]]).toEqual([SENT, SENT]);
    expect(own?.event).not.toHaveProperty("traceparent");
    expect(own?.headers).not.toHaveProperty("traceparent");
  });

  test("a traceparent that is not valid refuses no command, and goes no further", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL);
    const bad = { traceparent: `${SENT}-more` };
    const { status: answered, body } = await bridge.post("/units/status", status, bad);
    expect(answered).toBe(202);
    await bridge.settled(body["command_id"]);
    const [echo] = await accepts(receivers.a, 1);
    expect(echo?.headers).not.toHaveProperty("traceparent");
  });

  test("a redriven dead letter keeps its trace", async () => {
    const { bridge, receivers } = await withDestinations(["a"], ALL);
    bridge.cad.switches.reject = { next: 1 };
    const { body } = await bridge.post("/units/status", status, { traceparent: SENT });
    await bridge.settled(body["command_id"]);
    await bridge.post(`/dead-letters/${String(body["command_id"])}/redrive`, "");
    const [echo] = await accepts(receivers.a, 1);
    expect(echo?.headers["traceparent"]).toBe(SENT);
  });

  test("a trace that was changed in Redis is not believed", async () => {
    const keys = { PAYLOAD_KEYS: `a:${randomBytes(32).toString("base64")}` };
    const bridge = await startBridge({ functions: keys, worker: false });
    const { body } = await bridge.post("/units/status", status, { traceparent: SENT });
    const id = String(body["command_id"]);
    const [redis, record] = [testRedis(), `{${bridge.prefix}}:cad:record:${id}`];
    const stored = (await redis.hget(record, "trace")) ?? "";
    expect(stored).toMatch(/^mac:v1:a:\S+ 00-/);
    await redis.hset(record, "trace", stored.replace(TRACE, TRACE.replaceAll("0", "1")));
    await bridge.startWorker(keys);
    expect(await bridge.settled(id)).toMatchObject({ status: "failed", reason: expect.stringContaining("forged") });
  });
});
