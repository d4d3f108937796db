import { describe, expect, it } from "vitest";
import { countOvertakings } from "../../tools/replay/cad-ledger.ts";
import { KeyedChain, Limit } from "../../tools/replay/keyed-chain.ts";

/** A task that begins when it is run and ends when it is told to. */
function task(name: string, begun: string[]) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const run = () => {
    begun.push(name);
    return promise;
  };
  return { run, end: () => resolve(name), fail: () => reject(new Error(name)) };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("a keyed chain", () => {
  it("starts a task that shares a key only after the earlier one has ended, and others at once", async () => {
    const begun: string[] = [];
    const chain = new KeyedChain();
    const [a, b, c] = [task("a", begun), task("b", begun), task("c", begun)];
    const done = [
      chain.run(["unit:1", "incident:1"], a.run),
      chain.run(["incident:1"], b.run),
      chain.run(["unit:2"], c.run),
    ];
    await turn();
    expect(begun).toEqual(["a", "c"]);
    a.end();
    await turn();
    expect(begun).toEqual(["a", "c", "b"]);
    b.end();
    c.end();
    expect(await Promise.all(done)).toEqual(["a", "b", "c"]);
  });

  it("waits for the last of all keys", async () => {
    const begun: string[] = [];
    const chain = new KeyedChain();
    const [a, b, both] = [task("a", begun), task("b", begun), task("both", begun)];
    const done = [chain.run(["1"], a.run), chain.run(["2"], b.run), chain.run(["1", "2"], both.run)];
    a.end();
    await turn();
    expect(begun).toEqual(["a", "b"]);
    b.end();
    both.end();
    await Promise.all(done);
    expect(begun).toEqual(["a", "b", "both"]);
  });

  it("goes on after a failure, which only its own caller hears of", async () => {
    const begun: string[] = [];
    const chain = new KeyedChain();
    const [a, b] = [task("a", begun), task("b", begun)];
    const first = chain.run(["1"], a.run);
    const second = chain.run(["1"], b.run);
    a.fail();
    b.end();
    await expect(first).rejects.toThrow("a");
    expect(await second).toBe("b");
  });

  it("keeps nothing of what has ended", async () => {
    const chain = new KeyedChain();
    await Promise.all([chain.run(["1", "2"], async () => {}), chain.run(["2"], async () => {})]);
    await turn();
    expect(chain.size).toBe(0);
  });
});

describe("a limit", () => {
  it("never exceeds its limit of running tasks, and runs all of them in the end", async () => {
    const limit = new Limit(2);
    let running = 0;
    let most = 0;
    const one = async () => {
      most = Math.max(most, ++running);
      await turn();
      running -= 1;
    };
    await Promise.all(Array.from({ length: 7 }, () => limit.run(one)));
    expect([most, running]).toEqual([2, 0]);
  });

  it("gives the place of a failed task on", async () => {
    const limit = new Limit(1);
    await expect(limit.run(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await limit.run(async () => "next")).toBe("next");
  });
});

describe("overtakings", () => {
  it.each([
    [["a", "b", "c"], 0],
    [["b", "a", "c"], 1],
    [["c", "b", "a"], 2],
    [["a", "x", "c"], 0],
    [[], 0],
  ])("of a, b, c first delivered as %j are %i", (delivered, count) => {
    expect(countOvertakings(new Map([["unit:1", ["a", "b", "c"]]]), delivered)).toBe(count);
  });

  it("of different keys do not matter", () => {
    expect(
      countOvertakings(
        new Map([
          ["1", ["a"]],
          ["2", ["b"]],
        ]),
        ["b", "a"],
      ),
    ).toBe(0);
  });
});
