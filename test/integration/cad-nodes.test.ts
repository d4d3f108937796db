import { expect, onTestFinished, test } from "vitest";
import { startCad } from "../../tools/simulator/cad.ts";
import { until } from "../../tools/support/until.ts";
import { CAD_TOKEN, startBridge } from "../support/bridge.ts";

test("of a CAD with two nodes, the other one is used when the first fails, and health names the one in use", async () => {
  const bridge = await startBridge({ worker: false });
  const other = await startCad({ token: CAD_TOKEN });
  onTestFinished(() => other.stop());
  await bridge.startWorker({ CAD_ID: "two-nodes", CAD_MORE_URLS: other.url });
  await bridge.healthy();
  expect(bridge.cad.connections + other.connections).toBe(1);
  const [used, spare] = bridge.cad.connections === 1 ? [bridge.cad, other] : [other, bridge.cad];

  await used.stop();
  await until("the other node is used", () => spare.connections === 1, 15_000);
  expect(await bridge.deliver("/units/status", { unit_id: "M1", status: "enroute" })).toMatchObject({ sends: 1 });
  await until("health names it", async () => {
    const { body } = await bridge.get("/health");
    return new URL((body["bridge"] as { cad_url: string }).cad_url).origin === new URL(spare.url).origin;
  });
});
