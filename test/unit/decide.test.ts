import { describe, expect, test } from "vitest";
import { type Attempts, decide, MAX_REFUSALS } from "../../worker/commands/deliver.ts";

const once: Attempts = { refusals: 0, poison: undefined };
const half = () => 0.5;

describe("what follows from one send", () => {
  test.each([
    [{ result: "confirmed", by: "ack" }, "confirmed"],
    [{ result: "confirmed", by: "echo" }, "confirmed"],
    [{ result: "received", by: "barrier" }, "received"],
    [{ result: "unconfirmed", by: "barrier" }, "unconfirmed"],
    [{ result: "rejected", reason: "no" }, "rejected"],
  ] as const)("%j settles it as %s", (outcome, state) => {
    expect(decide(outcome, once, half)).toMatchObject({ follow: "settle", as: { state } });
  });

  test("a refusal for now is tried again after a wait that grows, and fails it in the end", () => {
    const refused = { result: "refused", reason: "busy" } as const;
    const waits = [1, 2, 3].map((refusals) => decide(refused, { ...once, refusals }, half));
    expect(waits).toEqual([188, 375, 750].map((inMs) => ({ follow: "retry", inMs })));
    const last = decide(refused, { ...once, refusals: MAX_REFUSALS }, half);
    expect(last).toMatchObject({ follow: "settle", as: { state: "failed", reason: "refused 10 times; busy" } });
  });

  test("a broken connection sends it again at once, until it is known to be what breaks it", () => {
    const broken = { result: "disconnected" } as const;
    expect(decide(broken, once, half)).toEqual({ follow: "again" });
    const poison = decide(broken, { ...once, poison: 3 }, half);
    expect(poison).toMatchObject({
      follow: "settle",
      as: { state: "failed", reason: expect.stringMatching(/^poison/) },
    });
  });
});
