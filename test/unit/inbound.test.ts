import { NO_MEASURE } from "../../shared/metrics/measure.ts";
import { setImmediate as tick } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { events } from "../../shared/events/table.ts";
import type { JournalEntry, NewEntry } from "../../shared/journal/entry.ts";
import { NotOwner } from "../../shared/outbox/owned.ts";
import { createInbound } from "../../worker/events/inbound.ts";
import { keptLog } from "../support/log.ts";

const MOST = 20_000;

/** What comes in, before a journal that the test holds in its hands: it writes when it is let, or fails. */
function start({ stuck = false }: { stuck?: boolean } = {}) {
  const gate = { open: Promise.withResolvers<void>() };
  if (!stuck) gate.open.resolve();
  const batches: NewEntry[][] = [];
  const over = new AbortController();
  let overflows = 0;
  let id = 0;
  const inbound = createInbound({
    measure: NO_MEASURE,
    events,
    journal: {
      async append(batch) {
        await gate.open.promise;
        batches.push([...batch]);
        return batch.map((e): JournalEntry => ({ ...e, id: `${(id += 1)}-0`, cad: "cad", receivedAt: 1, size: 10 }));
      },
    },
    onWritten: () => undefined,
    onOverflow: () => void (overflows += 1),
    now: () => Date.now() * 1000,
    signal: over.signal,
    log: keptLog().log,
  });
  const running = inbound.run(Promise.resolve()).catch((error: unknown) => error);
  onTestFinished(() => {
    over.abort();
    gate.open.resolve();
  });
  const take = (n: number, text = "") =>
    inbound.take({ event: "unit:status:updated", payload: { unitId: "M12", status: `${n}${text}` } });
  const written = () => batches.flat().map((e) => (e.payload as { status?: string } | null)?.status ?? e.event);
  return { inbound, take, written, batches, gate, over, running, overflows: () => overflows };
}

test("large events go in batches that a thin line can take, none is left behind", async () => {
  const { take, batches, inbound, written } = start();
  const text = "x".repeat(400_000);
  for (let n = 0; n < 10; n += 1) void take(n, text);
  expect(await inbound.flushed()).toBe(true);
  expect(written().map((status) => Number(status[0]))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  for (const batch of batches) expect(JSON.stringify(batch).length).toBeLessThan(1_200_000);
});

test("events over the limit are counted as lost and logged once, and waiting ones are written in order", async () => {
  const { take, inbound, overflows, gate, written } = start({ stuck: true });
  const kept = take(0);
  for (let n = 1; n < MOST + 300; n += 1) void take(n);
  expect(await take(-1)).toBe(false);
  expect(overflows()).toBe(1);
  const lost = inbound.lost();
  expect(lost).toBeGreaterThan(0);
  gate.open.resolve();
  expect(await kept).toBe(true);
  await inbound.flushed();
  expect(written()).toEqual(Array.from({ length: MOST + 301 - lost }, (_, n) => String(n)));
  inbound.found();
  expect(inbound.lost()).toBe(0);
});

test("large events count by their size: memory stays bounded while nothing can be written", async () => {
  const { take, inbound } = start({ stuck: true });
  const text = "x".repeat(900_000);
  for (let n = 0; n < 90; n += 1) void take(n, text);
  expect(inbound.lost()).toBeGreaterThan(10);
});

test("what is held leaves room for what is to be written before it, and follows it", async () => {
  const { take, inbound, written } = start();
  inbound.hold();
  for (let n = 0; n < MOST + 10; n += 1) void take(n);
  expect(inbound.lost()).toBe(10);
  expect(await inbound.say("bridge:gap", ["other"], {}, { recovered: false })).toBe(true);
  expect(written()).toEqual(["bridge:gap"]);
  inbound.release();
  await inbound.flushed();
  expect(written().length).toBe(MOST + 1);
});

test("line after line while nothing can be written: what was held on one leaves no room for more on the next", async () => {
  const { take, inbound } = start({ stuck: true });
  for (let line = 1; line <= 3; line += 1) {
    inbound.hold();
    for (let n = 0; n < MOST; n += 1) void take(n);
    inbound.release();
    await tick(); // so that the first batch is on its way
  }
  expect(inbound.lost()).toBeGreaterThanOrEqual(2 * MOST - 256);
});

test("what the bridge has to say itself is refused, and not counted as an event of the CAD's that is lost", async () => {
  const { take, inbound } = start({ stuck: true });
  void take(0);
  await tick(); // so that the first batch is on its way
  for (let n = 0; n < MOST + 1; n += 1) void take(n);
  const lost = inbound.lost();
  expect(lost).toBe(1);
  expect(await inbound.say("bridge:gap", ["other"], {})).toBe(false);
  expect(inbound.lost()).toBe(lost);
});

test("a stop in the middle of a write waits for it, and writes what came before", async () => {
  const { take, over, gate, running, written } = start({ stuck: true });
  const [first, second] = [take(1), take(2)];
  over.abort();
  gate.open.resolve();
  expect(await Promise.all([first, second])).toEqual([true, true]);
  expect(await running).toBeUndefined();
  expect(written()).toEqual(["1", "2"]);
  expect(await take(3)).toBe(false);
});

test("once the CAD is another worker's, nothing that waits is answered as written", async () => {
  const { take, inbound, gate, running } = start({ stuck: true });
  const first = take(1);
  inbound.hold();
  const held = take(2);
  const flushed = inbound.flushed();
  gate.open.reject(new NotOwner());
  expect(await Promise.all([first, held, flushed, inbound.flushed()])).toEqual([false, false, false, false]);
  expect(await running).toBeInstanceOf(NotOwner);
});
