import { describe, expect, it } from "vitest";
import { checkOrder, type CadReport } from "../../tools/replay/cad-ledger.ts";
import type { Accepted, ReplayResult } from "../../tools/replay/replay-run.ts";
import { deliveredIds, percentiles, summarize, type Replayed } from "../../tools/replay/summary.ts";

const call = { at: 0, line: 2, command: "units/status", body: {} };
const accepted = (state: NonNullable<Accepted["settled"]>["state"] | undefined): Accepted => ({
  call,
  acceptedAfterMs: 3,
  repeats: 0,
  ...(state && { settled: { state, reason: "why", settledAfterMs: 7 } }),
});
const result = (states: Parameters<typeof accepted>[0][], change: Partial<ReplayResult> = {}): ReplayResult => ({
  accepted: new Map(states.map((state, i) => [`id-${i}`, accepted(state)])),
  order: new Map([["unit:X1", states.map((_, i) => `id-${i}`)]]),
  refused: [],
  sendingMs: 1_000,
  totalMs: 2_000,
  ...change,
});
const report = (firstDeliveries: string[], change: Partial<CadReport> = {}): CadReport => ({
  duplicates: 0,
  violations: 0,
  appliedViolations: 0,
  firstDeliveries,
  ...change,
});
const summarise = (r: ReplayResult, cad?: CadReport | Error, change: Partial<Replayed> = {}) =>
  summarize({
    rows: 1,
    bad: [],
    calls: r.accepted.size,
    result: r,
    ...(cad && { cad: cad instanceof Error ? cad : checkOrder(cad, r.order, deliveredIds(r)) }),
    ...change,
  });

describe("the summary of a replay", () => {
  it("is good if all is confirmed or received, in the order of the 202s", () => {
    const { good, text } = summarise(result(["confirmed", "received"]), report(["id-0", "id-1"]));
    expect(good).toBe(true);
    expect(text).toMatch(/commands accepted +2 of 2/);
    expect(text).toMatch(/accepted after +p50 3\.0 ms, p99 3\.0 ms/);
    expect(text).toMatch(/settled after that +p50 7\.0 ms/);
    expect(text).toMatch(/\(2 commands\/s\)/);
    expect(text).toMatch(/in order\.$/);
  });

  it("without a CAD reports that the order was not checked, and does not claim it", () => {
    const { good, text } = summarise(result(["confirmed"]));
    expect(good).toBe(true);
    expect(text).toMatch(/not checked: SIMULATOR_URL is not set/);
    expect(text).not.toContain("in order");
  });

  it("is not good if the bridge's state differs from the file or cannot be read", () => {
    const differ = [{ about: "unit X1", wrong: ['status.value is "a", not "b"'] }];
    const known = summarise(result(["confirmed"]), undefined, { state: { equal: 3, differ } });
    expect(known.good).toBe(false);
    expect(known.text).toMatch(/state compared +4 units and incidents\n +equal +3\n +differ +1\n/);
    expect(known.text).toMatch(/unit X1: status\.value is "a", not "b"/);
    const silent = summarise(result(["confirmed"]), undefined, { state: new Error("503") });
    expect([silent.good, silent.text]).toEqual([false, expect.stringMatching(/not compared: 503/)]);
    expect(summarise(result(["confirmed"]), undefined, { state: { equal: 4, differ: [] } }).good).toBe(true);
  });

  it("lists each invalid row", () => {
    const bad = [{ line: 9, problems: ["unit_id is blank", "address is blank"] }];
    const { good, text } = summarise(result(["confirmed"]), undefined, { rows: 2, bad });
    expect(good).toBe(true);
    expect(text).toMatch(/rows +2, 1 of them invalid and not sent/);
    expect(text).toContain("line 9: unit_id is blank; address is blank");
  });

  it.each<[string, ReturnType<typeof summarise>, RegExp]>([
    ["a command is unconfirmed", summarise(result(["unconfirmed"])), /line 2, units\/status: unconfirmed why/],
    ["a command is not final", summarise(result([undefined])), /not final/],
    [
      "the CAD saw a violation",
      summarise(result(["confirmed"]), report(["id-0"], { violations: 1 })),
      /arrived out of order/,
    ],
    [
      "handlers finished in another order",
      summarise(result(["confirmed"]), report(["id-0"], { appliedViolations: 1 })),
      /arrived out of order/,
    ],
    [
      "the CAD got them in another order than the 202s",
      summarise(result(["confirmed", "confirmed"]), report(["id-1", "id-0"])),
      /1 among 1 units/,
    ],
    [
      "a receipt tells of what never reached the CAD",
      summarise(result(["confirmed"]), report([])),
      /missing at the CAD +1/,
    ],
    ["the CAD cannot be asked any more", summarise(result(["confirmed"]), new Error("gone")), /not checked: gone/],
    [
      "a call was refused",
      summarise(result(["confirmed"], { refused: [{ call, problem: "422 no" }] })),
      /line 2, units\/status: 422 no/,
    ],
    ["it stopped", summarise(result(["confirmed"], { stopped: "no answer" })), /Stopped before the end: no answer/],
    ["there was nothing to send", summarise(result([])), /Nothing was sent/],
  ])("is not good if %s", (_, { good, text }, tells) => {
    expect(good).toBe(false);
    expect(text).toMatch(tells);
  });
});

it("reports percentiles by nearest rank", () => {
  expect(percentiles(Array.from({ length: 100 }, (_, i) => 100 - i))).toBe("p50 50.0 ms, p99 99.0 ms");
  expect(percentiles([])).toBe("-");
});
