import { describe, expect, test } from "vitest";
import { FREE_TOO_LONG_MS, type Look, shareOf } from "../../worker/fleet/share.ts";

/** `a: "1 2"`: worker a leads the CADs 1 and 2. */
function look(leads: Readonly<Record<string, string>>, me: string, more: Partial<Look> = {}): Look {
  const owners = new Map(
    Object.entries(leads).flatMap(([worker, cads]) =>
      cads
        .split(" ")
        .filter(Boolean)
        .map((cad) => [cad, worker] as const),
    ),
  );
  return {
    cads: ["1", "2", "3", "4", "5"],
    workers: Object.keys(leads),
    me,
    owners,
    mine: new Set((leads[me] ?? "").split(" ").filter(Boolean)),
    freeMs: new Map(),
    keep: new Set(),
    ...more,
  };
}
const late = new Map([["5", FREE_TOO_LONG_MS]]);

describe("a worker asks for", () => {
  test.each<[what: string, look: Look, take: string[]]>([
    ["all, alone", look({ a: "" }, "a"), ["1", "2", "3", "4", "5"]],
    ["its share, among three", look({ a: "", b: "", c: "" }, "a"), ["1", "2"]],
    ["what is free up to its share", look({ a: "1", b: "2 3", c: "" }, "a"), ["4"]],
    ["nothing that others have", look({ a: "", b: "1 2 3", c: "4 5" }, "a"), []],
    ["nothing beyond its share at once", look({ a: "1 2", b: "3 4", c: "" }, "a"), []],
    ["what is free too long, whatever its share", look({ a: "1 2", b: "3 4", c: "" }, "a", { freeMs: late }), ["5"]],
    ["what a dead worker left, once it is free", look({ a: "1 2", b: "3" }, "a"), ["4"]],
    ["what an earlier process of its name holds", look({ a: "4", b: "" }, "a", { mine: new Set() }), ["4", "1", "2"]],
  ])("%s", (_, given, take) => {
    expect(shareOf(given).take).toEqual(take);
  });
});

describe("a worker hands over", () => {
  test.each<[what: string, look: Look, give: string[]]>([
    ["nothing, alone", look({ a: "1 2 3 4 5" }, "a"), []],
    ["what is more than its share, to a new one", look({ a: "1 2 3 4 5", b: "" }, "a"), ["1", "2"]],
    ["as much as others lack", look({ a: "1 2 3 4", b: "5", c: "" }, "a"), ["1", "2"]],
    ["nothing while as much is free", look({ a: "1 2 3", b: "", c: "" }, "a"), ["1"]],
    ["nothing where the shares are even", look({ a: "1 2", b: "3 4", c: "5" }, "a"), []],
    ["one, if another has two less", look({ a: "1 2", b: "3 4", c: "" }, "a", { cads: ["1", "2", "3", "4"] }), ["1"]],
    ["none, if another of the most does", look({ a: "1 2", b: "3 4", c: "" }, "b", { cads: ["1", "2", "3", "4"] }), []],
    ["none that is to be kept", look({ a: "1 2 3 4 5", b: "" }, "a", { keep: new Set(["1", "2", "3", "4"]) }), ["5"]],
    [
      "none that it only asks for",
      look({ a: "1 2", b: "" }, "a", { mine: new Set(["1", "2", "3", "4", "5"]) }),
      ["1", "2"],
    ],
  ])("%s", (_, given, give) => {
    expect(shareOf(given).give).toEqual(give);
  });
});

/** Everybody acts on the same look in turn; a CAD that is handed over is free until somebody takes it. */
function settle(leads: Record<string, string>, cads: readonly string[]): number[] {
  const sets = new Map(
    Object.entries(leads).map(([worker, text]) => [worker, new Set(text.split(" ").filter(Boolean))]),
  );
  const lookOf = (me: string) => {
    const all = Object.fromEntries([...sets].map(([worker, held]) => [worker, [...held].join(" ")]));
    return look(all, me, { cads });
  };
  for (let round = 0; round < 50; round += 1)
    for (const [me, held] of sets) {
      const { take, give } = shareOf(lookOf(me));
      for (const cad of give) held.delete(cad);
      for (const cad of take) held.add(cad);
    }
  return [...sets.values()].map(({ size }) => size).toSorted((a, b) => a - b);
}

test.each([
  [5, 1, [5]],
  [5, 2, [2, 3]],
  [5, 3, [1, 2, 2]],
  [4, 3, [1, 1, 2]],
  [10, 4, [2, 2, 3, 3]],
  [2, 4, [0, 0, 1, 1]],
])("%i CADs of one worker are evenly shared among %i in the end", (many, workers, counts) => {
  const cads = Array.from({ length: many }, (_, i) => String(i));
  const leads = Object.fromEntries(Array.from({ length: workers }, (_, i) => [`w${i}`, i === 0 ? cads.join(" ") : ""]));
  expect(settle(leads, cads)).toEqual(counts);
});
