import { expect, onTestFinished, test } from "vitest";
import { openDestinationStore } from "../../shared/destinations/store.ts";
import { createDestinationBreaker, type Signal } from "../../worker/destinations/circuit-breaker.ts";
import { createStateSync } from "../../worker/destinations/store.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { freshPrefix, testRedis } from "../support/redis.ts";
import { until } from "../../tools/support/until.ts";

const ID = "board";
const GONE: Signal = { what: "gone", reason: "it answered 410" };
const DOWN: Signal = { what: "unreachable", reason: "it cannot be reached" };

/** A breaker whose state is kept in Redis, as a worker keeps it. */
async function kept(pauseMs: number) {
  const book = openDestinationStore(testRedis(), freshPrefix(), createSealer([]));
  const stopping = new AbortController();
  const { signal } = stopping;
  const breaker = createDestinationBreaker({
    places: 1,
    pauseFromMs: () => pauseMs,
    pauseToMs: pauseMs,
    onChange: () => keeper.changed(),
    signal,
    random: () => 0,
  });
  const keeper = createStateSync(book, ID, breaker, signal);
  await keeper.load();
  const running = keeper.run();
  onTestFinished(() => (stopping.abort(), running));
  const hear = async (...heard: Signal[]) => {
    for (const one of heard) (await breaker.enter())?.done(one);
  };
  const isSaved = () =>
    until("its state is saved", async () => JSON.stringify(await book.load(ID)) === JSON.stringify(breaker.state()));
  return { book, breaker, hear, isSaved };
}

test("an enable counts although the destination is paused anew before the worker has heard of it", async () => {
  const { book, breaker, hear, isSaved } = await kept(1);
  await hear(DOWN, DOWN, DOWN);
  expect(breaker.state()).toMatchObject({ state: "paused", trips: 1 });
  await isSaved();
  await book.enable(ID);
  await hear(DOWN);
  expect(breaker.state()).toMatchObject({ state: "paused", trips: 2 });
  await until("it is enabled", () => breaker.state().state === "ok");
  await isSaved();
});

test("an enable of a destination that is well does nothing for what becomes of it later", async () => {
  const { book, breaker, hear, isSaved } = await kept(60_000);
  await book.enable(ID);
  await hear(GONE);
  await isSaved();
  expect(breaker.state().state).toBe("disabled");
  await book.enable(ID);
  await until("it is enabled", () => breaker.state().state === "ok");
  await isSaved();
  await hear(GONE);
  await isSaved();
  expect(breaker.state().state).toBe("disabled");
});
