import { expect, test } from "vitest";
import type { OwnedOutbox } from "../../shared/outbox/owned.ts";
import { createDestinationBreaker } from "../../worker/destinations/circuit-breaker.ts";
import { createDispatcher, type Delivered, type Waiting } from "../../worker/delivery/dispatcher.ts";
import { keptLog } from "../support/log.ts";
import { until } from "../../tools/support/until.ts";

/** A drain over an outbox in which c0, c1, c2, ... stand behind one another; each delivery ends when the test says so. */
function fresh() {
  const stopping = new AbortController();
  const onTheirWay = new Map<string, (delivered: Delivered) => void>();
  const delivered: string[] = [];
  const queued: string[] = [];
  const outbox: Pick<OwnedOutbox, "runnable"> = { runnable: async function* () {} };
  const queue: Waiting = { add: async (ids) => void queued.push(...ids), ensure: async () => 0 };
  const drain = createDispatcher({
    outbox: outbox as OwnedOutbox,
    queue,
    deliver: (id) => new Promise((resolve) => onTheirWay.set(id, resolve)),
    isOpen: () => true,
    signal: stopping.signal,
    log: keptLog().log,
  });
  const settle = (id: string) => {
    onTheirWay.get(id)?.({ runnable: [`c${Number(id.slice(1)) + 1}`] });
    onTheirWay.delete(id);
    delivered.push(id);
  };
  return { drain, stopping, onTheirWay, delivered, queued, settle };
}

test("a job holds its place in the queue for its own command alone, and the next one goes on at once", async () => {
  const { drain, onTheirWay, settle } = fresh();
  const job = drain.onJob("c0");
  settle("c0");
  await job;
  await until("the next one is on its way", () => onTheirWay.has("c1"));
});

test("a long line goes back to the queue after a while, for fairness", async () => {
  const { drain, onTheirWay, delivered, queued, settle } = fresh();
  void drain.onJob("c0");
  await until("one is queued", () => {
    for (const id of onTheirWay.keys()) settle(id);
    return queued.length > 0;
  });
  expect(queued).toEqual([`c${delivered.length}`]);
  expect(delivered.length).toBeLessThan(100);
});

test("a stop waits for what is on its way, and lets nothing follow", async () => {
  const { drain, stopping, onTheirWay, queued, settle } = fresh();
  const run = drain.run();
  const job = drain.onJob("c0");
  stopping.abort();
  expect(await Promise.race([run, new Promise((resolve) => setImmediate(resolve, "waits"))])).toBe("waits");
  settle("c0");
  await Promise.all([run, job]);
  expect({ onTheirWay: onTheirWay.size, queued }).toEqual({ onTheirWay: 0, queued: [] });
});

test("a destination whose places are all taken still gets what was neglected: it is not left until the others pause", async () => {
  const stopping = new AbortController();
  const { signal } = stopping;
  const gate = createDestinationBreaker({
    places: 1,
    pauseFromMs: () => 1,
    pauseToMs: 1,
    onChange: () => undefined,
    signal,
    random: () => 0,
  });
  gate.begin(undefined);
  const pass = await gate.enter();
  const ensured: string[] = [];
  const outbox: Pick<OwnedOutbox, "runnable" | "expire" | "isFull"> = {
    async *runnable(idleMs) {
      if (idleMs > 0) yield ["neglected"];
    },
    expire: async () => [],
    isFull: async () => false,
  };
  const queue: Waiting = {
    add: async () => undefined,
    async ensure(ids) {
      ensured.push(...ids);
      return ids.length;
    },
  };
  const drain = createDispatcher({
    outbox: outbox as OwnedOutbox,
    queue,
    deliver: () => Promise.resolve({ runnable: [] }),
    isOpen: gate.isOpen,
    signal,
    log: keptLog().log,
  });
  const run = drain.run();
  await until("it waits for a place", () => ensured.length > 0);
  pass?.done({ what: "answered" });
  stopping.abort();
  await run;
  expect(ensured).toContain("neglected");
});
