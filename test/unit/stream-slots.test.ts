import { expect, test } from "vitest";
import { createSlots } from "../../functions/routes/stream-slots.ts";

function slotsAt(max: number) {
  const clock = { ms: 0 };
  return { clock, slots: createSlots(max, 1000, () => clock.ms) };
}

test("there are as many places as may be, and one that is released is free at once", () => {
  const { slots } = slotsAt(2);
  const first = slots.take();
  expect(slots.take()).toBeDefined();
  expect(slots.take()).toBeUndefined();
  first?.release();
  first?.release();
  expect(slots.take()).toBeDefined();
  expect(slots.take()).toBeUndefined();
});

test("one of which nothing was heard for too long makes room; one that renews its place keeps it", () => {
  const { clock, slots } = slotsAt(2);
  const alive = slots.take();
  slots.take();
  clock.ms = 900;
  alive?.renew();
  clock.ms = 1001;
  expect(slots.take()).toBeDefined();
  expect(slots.take()).toBeUndefined();
});

test("with no places there is none", () => {
  expect(slotsAt(0).slots.take()).toBeUndefined();
});
