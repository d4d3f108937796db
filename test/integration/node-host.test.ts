import { expect, test } from "vitest";
import { startBridge } from "../support/bridge.ts";

// What only the Node host has to see to: at the edge, connections are the runtime's affair.

test("a connection on which a body was not read to its end is closed, so that no request follows on it", async () => {
  const bridge = await startBridge({ worker: false });
  const answer = await bridge.post("/units/status", "x".repeat(300_000));
  expect(answer).toMatchObject({ status: 413 });
  expect(answer.headers.get("Connection")).toBe("close");
});
