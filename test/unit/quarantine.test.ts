import { expect, test } from "vitest";
import { createQuarantine, type Place } from "../../worker/quarantine.ts";

/** Sends it once, with the connection breaking over it. */
async function breakOnce(quarantine: ReturnType<typeof createQuarantine>, id: string): Promise<number> {
  const place = await quarantine.enter(id);
  const count = place.broke();
  place.leave();
  return count;
}
const settled = async (promise: Promise<unknown>) => {
  const marker = Symbol("pending");
  await new Promise((resolve) => setImmediate(resolve));
  return (await Promise.race([promise, Promise.resolve(marker)])) !== marker;
};

test("commands above suspicion do not wait for each other", async () => {
  const quarantine = createQuarantine();
  const places = await Promise.all(["a", "b", "c"].map((id) => quarantine.enter(id)));
  expect(places.map((p) => p.suspect)).toEqual([false, false, false]);
});

test("suspects are sent one at a time, while others go on", async () => {
  const quarantine = createQuarantine();
  for (const id of ["a", "b"]) expect(await breakOnce(quarantine, id)).toBe(1);
  const a = await quarantine.enter("a");
  const b = quarantine.enter("b");
  expect(a.suspect).toBe(true);
  expect(await settled(b)).toBe(false);
  expect(await settled(quarantine.enter("other"))).toBe(true);
  a.answered();
  a.leave();
  expect((await b).suspect).toBe(true);
});

test("a suspect that the CAD surely received lets the next one go, and is not blamed for a later break", async () => {
  const quarantine = createQuarantine();
  for (const id of ["a", "b"]) await breakOnce(quarantine, id);
  const a = await quarantine.enter("a");
  const b = quarantine.enter("b");
  a.clear();
  expect(await settled(b)).toBe(true);
  expect(a.broke()).toBe(1);
});

test("what breaks the connection each time is counted, what was only there is not", async () => {
  const quarantine = createQuarantine();
  const crowd: Place[] = [];
  for (const id of ["poison", "innocent"]) crowd.push(await quarantine.enter(id));
  for (const place of crowd) {
    expect(place.broke()).toBe(1);
    place.leave();
  }
  expect(await breakOnce(quarantine, "poison")).toBe(2);
  const innocent = await quarantine.enter("innocent");
  innocent.answered();
  innocent.leave();
  expect(await breakOnce(quarantine, "poison")).toBe(3);
  expect((await quarantine.enter("innocent")).suspect).toBe(false);
});
