import { expect, test } from "vitest";
import { withDestinations } from "../support/destinations.ts";
import { until } from "../support/until.ts";

test("an event reaches the destination as a signed CloudEvent", async () => {
  const { bridge, receivers } = await withDestinations(["a"], [{ to: "a", events: "unit:*" }]);
  bridge.cad.broadcast("unit:status:updated", { unitId: "M12", status: "enroute", incidentId: "I1" });
  const [first] = await until("it came", () => receivers.a.received.length > 0 && receivers.a.received);
  expect(first).toMatchObject({
    method: "POST",
    verified: true,
    type: "unit:status:updated",
    subject: "unit:M12",
    data: { unitId: "M12", status: "enroute", incidentId: "I1" },
  });
});
