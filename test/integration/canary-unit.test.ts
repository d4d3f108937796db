import { expect, test } from "vitest";
import { until } from "../../tools/support/until.ts";
import { startBridge } from "../support/bridge.ts";
import { parseMetrics } from "../support/metrics.ts";

test("the canary goes the whole way again and again; one that does not arrive is counted, a problem, and no dead letter", async () => {
  const bridge = await startBridge({
    cad: { character: "modern" },
    worker: { CANARY_UNIT: "TEST-1", CANARY_EVERY_S: "1" },
  });
  const metrics = async () => {
    const response = await fetch(`http://127.0.0.1:${bridge.worker()?.port}/metrics`);
    return parseMetrics(await response.text());
  };
  const codes = async () => {
    const { body } = await bridge.get("/health");
    return (body["problems"] as { code: string }[]).map(({ code }) => code);
  };
  await until("two arrived", async () => ((await metrics()).get("socket_bridge_canary_seconds_count") ?? 0) >= 2);
  const arrived = bridge.cad.ledger.entries().filter(({ event }) => event === "unit:status");
  expect(arrived[0]?.payload).toMatchObject({ unitId: "TEST-1", status: "available" });

  bridge.cad.switches.reject = 1;
  await until("it is a problem", async () => (await codes()).includes("canary-missed"));
  expect((await metrics()).get('socket_bridge_canary_total{result="missed"}')).toBeGreaterThanOrEqual(3);
  bridge.cad.switches.reject = 0;
  await until("it is none any more", async () => !(await codes()).includes("canary-missed"));
  expect((await bridge.get("/dead-letters")).body["dead_letters"]).toEqual([]);
});
