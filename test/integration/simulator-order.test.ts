import { describe, expect, it } from "vitest";
import { type Cad } from "../../tools/simulator/cad.ts";
import { Ledger } from "../../tools/simulator/ledger.ts";
import { start, connect, context, status, heardStatuses, assignment } from "../support/simulated-cad.ts";
import { until } from "../../tools/support/until.ts";

/** The order in which the echoes of eight commands come back. */
async function orderOfEight(cad: Cad): Promise<string> {
  const probe = await connect(cad);
  for (let n = 1; n <= 8; n++) probe.socket.emit("unit:status", status(n));
  await until("every echo", () => heardStatuses(probe).length === 8);
  return heardStatuses(probe).join();
}

describe("order in the simulator", () => {
  it("is lost on a legacy CAD by a client that does not wait", async () => {
    const cad = await start();
    const probe = await connect(cad);
    for (let n = 1; n <= 500; n++) probe.socket.emit("unit:status", status(n));
    await until("every echo", () => heardStatuses(probe).length === 500);
    const { violations, appliedViolations, commands } = cad.ledger.summary();
    expect({ violations, commands }).toEqual({ violations: 0, commands: 500 });
    expect(appliedViolations).toBeGreaterThan(50);
    expect(cad.ledger.appliedViolations()).toHaveLength(Math.min(100, appliedViolations));
  });

  it("is kept on a legacy CAD by a client that waits for each echo", async () => {
    const cad = await start();
    const probe = await connect(cad);
    for (let n = 1; n <= 100; n++) {
      probe.socket.emit("unit:status", status(n));
      await until("the echo", () => heardStatuses(probe).at(-1) === `S${n}`);
    }
    expect(cad.ledger.summary()).toMatchObject({ commands: 100, violations: 0, appliedViolations: 0, unmarked: 0 });
  });

  it("is lost in the same way with the same seed, and in another with another", async () => {
    const [first, again, other] = await Promise.all(
      [7, 7, 8].map((seed) => start({ seed, switches: { delayMs: { min: 0, max: 400 } } }).then(orderOfEight)),
    );
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });
});

/** Enters commands by number, in this order; each is about unit E39 and, if given, an incident. */
const enter = (ledger: Ledger, numbers: number[], more: object = {}) =>
  numbers.map((n) => ledger.record({ connection: 1, event: "unit:status", payload: status(n, more) }));

describe("the ledger", () => {
  it("finds a first delivery out of order, and names both commands", () => {
    const ledger = new Ledger();
    enter(ledger, [1, 3, 2, 4]);
    expect(ledger.summary()).toMatchObject({ received: 4, commands: 4, violations: 1, lateRepeats: 0 });
    expect(ledger.violations()).toEqual([
      {
        key: "unit:E39",
        command: { commandId: "command-2", issuedAt: context(2).issuedAt },
        after: { commandId: "command-3", issuedAt: context(3).issuedAt },
      },
    ]);
  });

  it("finds a late repeat, and lets a repeat pass that nothing has overtaken", () => {
    const ledger = new Ledger();
    enter(ledger, [1, 1, 2, 1, 2]);
    expect(ledger.summary()).toMatchObject({ commands: 2, duplicates: 3, violations: 0, lateRepeats: 1 });
    expect(ledger.lateRepeats()).toMatchObject([{ command: { commandId: "command-1" } }]);
  });

  it("takes no gap for a violation: superseded commands never arrive", () => {
    const ledger = new Ledger();
    enter(ledger, [1, 5, 9]);
    expect(ledger.summary().violations).toBe(0);
  });

  it("judges each unit and each incident on its own, metrics too", () => {
    const ledger = new Ledger();
    enter(ledger, [5], { unitId: "A", incidentId: "I" });
    enter(ledger, [3], { unitId: "B" });
    ledger.record({ connection: 1, event: "metrics:updated", payload: { metrics: {}, context: context(2) } });
    expect(ledger.summary().violations).toBe(0);
    enter(ledger, [4], { unitId: "C", incidentId: "I" });
    ledger.record({ connection: 1, event: "metrics:updated", payload: { metrics: {}, context: context(1) } });
    expect(ledger.violations().map(({ key }) => key)).toEqual(["incident:I", "metrics"]);
    const nested = { ...assignment, unitId: "D", incident: { incidentId: "I" }, context: context(3, "nested") };
    ledger.record({ connection: 1, event: "assignment:sent", payload: nested });
    expect(ledger.violations().at(-1)).toMatchObject({ key: "incident:I", command: { commandId: "nested" } });
  });

  it("judges the order in which handlers finish apart from that of arrival", () => {
    const ledger = new Ledger();
    const [first, second] = enter(ledger, [1, 2]);
    second?.("applied");
    first?.("applied");
    expect(ledger.summary()).toMatchObject({ violations: 0, appliedViolations: 1 });
  });

  it("counts object payloads that it cannot judge, and no others", () => {
    const ledger = new Ledger();
    const entered: unknown[] = [
      { unitId: "A" },
      { context: { ...context(1), issuedAt: "2026-01-31T22:05:00Z" } },
      "E39",
      null,
    ];
    for (const payload of entered) ledger.record({ connection: 1, event: "unit:status", payload });
    expect(ledger.summary()).toMatchObject({ received: 4, unmarked: 2 });
  });

  it("keeps no more entries than its bound, counts on and still judges", () => {
    const ledger = new Ledger({ max: 3 });
    enter(ledger, [1, 2, 3, 4, 6, 5]);
    expect(ledger.summary()).toMatchObject({ received: 6, kept: 3, commands: 6, violations: 1 });
    expect(ledger.entries({ after: 1 }).map(({ seq }) => seq)).toEqual([2, 3]);
  });

  it("is not changed after it was cleared by a handler that was still busy", () => {
    const ledger = new Ledger();
    const [finish] = enter(ledger, [1]);
    ledger.clear();
    finish?.("applied");
    expect(ledger.summary()).toMatchObject({ received: 0, commands: 0, byEvent: {} });
  });

  it("judges well over 10,000 events a second", () => {
    const ledger = new Ledger({ max: 1000 });
    const from = performance.now();
    for (let n = 0; n < 100_000; n++) enter(ledger, [n], { unitId: `U${n % 5000}` });
    expect(performance.now() - from).toBeLessThan(5000);
    expect(ledger.summary()).toMatchObject({ received: 100_000, violations: 0 });
  });
});
