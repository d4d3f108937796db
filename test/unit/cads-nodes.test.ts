import { expect, test } from "vitest";
import { createNodes } from "../../worker/cad/nodes.ts";

const { signal } = new AbortController();

/** Nodes that answer in so many ms; null: not at all. `asked` is what was measured. */
function nodes(times: Record<string, number | null>) {
  const asked: string[] = [];
  const made = createNodes(Object.keys(times), async (url) => {
    asked.push(url);
    return times[url] ?? undefined;
  });
  return { ...made, asked };
}

test.each<[what: string, times: Record<string, number | null>, order: string[]]>([
  ["the fastest first", { a: 30, b: 10, c: 20 }, ["b", "c", "a"]],
  ["those that do not answer last, in their order", { a: null, b: null, c: 5 }, ["c", "a", "b"]],
  ["of equals, in their order", { a: 5, b: 5 }, ["a", "b"]],
])("tries %s", async (_, times, order) => {
  const { pick, failed } = nodes(times);
  const tried: string[] = [];
  for (let n = 0; n < order.length; n += 1) {
    tried.push(await pick(signal));
    failed();
  }
  expect(tried).toEqual(order);
});

test("keeps a node until it fails", async () => {
  const { pick, failed, asked } = nodes({ a: 30, b: 10 });
  expect([await pick(signal), await pick(signal)]).toEqual(["b", "b"]);
  failed();
  expect([await pick(signal), await pick(signal)]).toEqual(["a", "a"]);
  expect(asked).toEqual(["a", "b"]);
});

test("measures anew once all have failed", async () => {
  const times: Record<string, number | null> = { a: 10, b: 30 };
  const { pick, failed } = nodes(times);
  for (let n = 0; n < 2; n += 1) {
    await pick(signal);
    failed();
  }
  times["a"] = null;
  expect(await pick(signal)).toBe("b");
});

test("measures nothing where there is one node", async () => {
  const { pick, failed, asked } = nodes({ a: 10 });
  failed();
  expect(await pick(signal)).toBe("a");
  expect(asked).toEqual([]);
});
