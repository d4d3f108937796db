import { expect, test } from "vitest";
import { createPoisonDetector, type Place } from "../../worker/commands/poison-detector.ts";

type PoisonDetector = ReturnType<typeof createPoisonDetector>;

const settled = async (promise: Promise<unknown>) => {
  const marker = Symbol("pending");
  await new Promise((resolve) => setImmediate(resolve));
  return (await Promise.race([promise, Promise.resolve(marker)])) !== marker;
};
/** The connection breaks over all that are in flight; answers the verdict on each. */
function breakOver(places: Place[]): (number | undefined)[] {
  const verdicts = places.map((place) => place.broke());
  for (const place of places) place.leave();
  return verdicts;
}
const enterAll = (quarantine: PoisonDetector, ids: string[]) => Promise.all(ids.map((id) => quarantine.enter(id)));

test("commands above suspicion do not wait for each other", async () => {
  expect(await settled(enterAll(createPoisonDetector(), ["a", "b", "c"]))).toBe(true);
});

test("suspects are sent one at a time, each until its outcome is known, while others go on", async () => {
  const quarantine = createPoisonDetector();
  expect(breakOver(await enterAll(quarantine, ["a", "b"]))).toEqual([undefined, undefined]);
  const a = await quarantine.enter("a");
  const b = quarantine.enter("b");
  expect(await settled(b)).toBe(false);
  expect(await settled(quarantine.enter("other"))).toBe(true);
  a.acquit();
  expect(await settled(b)).toBe(false);
  a.leave();
  expect(await settled(b)).toBe(true);
});

test("what breaks the connection each time is given up at the third, what waited or was answered is not blamed", async () => {
  const quarantine = createPoisonDetector();
  breakOver(await enterAll(quarantine, ["poison", "innocent"]));
  const poison = await quarantine.enter("poison");
  const innocent = quarantine.enter("innocent");
  expect(breakOver([poison])).toEqual([undefined]);
  const again = quarantine.enter("poison");
  (await innocent).acquit();
  (await innocent).leave();
  expect(breakOver([await again])).toEqual([3]);
  expect(breakOver([await quarantine.enter("innocent")])).toEqual([undefined]);
});

test("a CAD that restarts three times in a row has nobody blamed: each time it meets another suspect", async () => {
  const quarantine = createPoisonDetector();
  const ids = Array.from({ length: 20 }, (_, i) => `c${i}`);
  breakOver(await enterAll(quarantine, ids));
  const queue = ids.map((id) => quarantine.enter(id));
  for (let i = 0; i < 10; i += 1) {
    const first = await queue.shift();
    expect(breakOver(first ? [first] : [])).toEqual([undefined]);
    queue.push(quarantine.enter(ids[i] ?? ""));
  }
});

test("many are sent together once more, and only those over which it breaks again go alone", async () => {
  const quarantine = createPoisonDetector();
  const ids = Array.from({ length: 250 }, (_, i) => `c${i}`);
  breakOver(await enterAll(quarantine, ids));
  const all = enterAll(quarantine, ids);
  expect(await settled(all)).toBe(true);
  expect(breakOver(await all)).toEqual(ids.map(() => undefined));
  expect(await settled(quarantine.enter("c0"))).toBe(true);
  expect(await settled(quarantine.enter("c1"))).toBe(false);
});

test("of many, too, nobody is given up who did not break the connection twice alone", async () => {
  const quarantine = createPoisonDetector();
  const ids = Array.from({ length: 250 }, (_, i) => `c${i}`);
  for (let i = 0; i < 2; i += 1) breakOver(await enterAll(quarantine, ids));
  expect(breakOver([await quarantine.enter("c0")])).toEqual([undefined]);
  expect(breakOver([await quarantine.enter("c0")])).toEqual([4]);
});
