import { expect, onTestFinished, test } from "vitest";
import { openDestinationBook } from "../../shared/destinations/store.ts";
import { createDestinationGate, type Heard } from "../../worker/destinations/circuit-breaker.ts";
import { createKeeper } from "../../worker/destinations/store.ts";
import { freshPrefix, testRedis } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

const ID = "board";
const GONE: Heard = { what: "gone", reason: "it answered 410" };
const DOWN: Heard = { what: "unreachable", reason: "it cannot be reached" };

/** A gate whose state is kept in Redis, as a worker keeps it. */
async function kept(pauseMs: number) {
  const book = openDestinationBook(testRedis(), freshPrefix());
  const stopping = new AbortController();
  const { signal } = stopping;
  const gate = createDestinationGate({
    places: 1,
    pauseFromMs: pauseMs,
    pauseToMs: pauseMs,
    onChange: () => keeper.changed(),
    signal,
    random: () => 0,
  });
  const keeper = createKeeper(book, ID, gate, signal);
  await keeper.load();
  const running = keeper.run();
  onTestFinished(() => (stopping.abort(), running));
  const hear = async (...heard: Heard[]) => {
    for (const one of heard) (await gate.enter())?.done(one);
  };
  const isSaved = () =>
    until("its state is saved", async () => JSON.stringify(await book.load(ID)) === JSON.stringify(gate.state()));
  return { book, gate, hear, isSaved };
}

test("an enable counts although the destination is paused anew before the worker has heard of it", async () => {
  const { book, gate, hear, isSaved } = await kept(1);
  await hear(DOWN, DOWN, DOWN);
  expect(gate.state()).toMatchObject({ state: "paused", trips: 1 });
  await isSaved();
  await book.enable(ID);
  await hear(DOWN);
  expect(gate.state()).toMatchObject({ state: "paused", trips: 2 });
  await until("it is enabled", () => gate.state().state === "ok");
  await isSaved();
});

test("an enable of a destination that is well does nothing for what becomes of it later", async () => {
  const { book, gate, hear, isSaved } = await kept(60_000);
  await book.enable(ID);
  await hear(GONE);
  await isSaved();
  expect(gate.state().state).toBe("disabled");
  await book.enable(ID);
  await until("it is enabled", () => gate.state().state === "ok");
  await isSaved();
  await hear(GONE);
  await isSaved();
  expect(gate.state().state).toBe("disabled");
});
