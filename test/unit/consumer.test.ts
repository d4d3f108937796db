import { expect, onTestFinished, test } from "vitest";
import type { JournalEntry } from "../../shared/journal/entry.ts";
import { type JournalReader } from "../../shared/journal/read.ts";
import { compareIds, START } from "../../shared/redis/stream-id.ts";
import type { Checkpoints, Handled } from "../../shared/journal/checkpoints.ts";
import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import { createSealer, SealError } from "../../shared/sealing/seal.ts";
import { type Consumer, createConsumer } from "../../worker/events/consumer.ts";
import { toDestination } from "../../worker/destinations/handler.ts";
import type { Handler, Task } from "../../worker/events/handlers/handler.ts";
import { keptLog } from "../support/log.ts";
import { until } from "../../tools/support/until.ts";

const entry = (n: number, keys: OrderingKey[] = [`unit:U${n}`], size = 10): JournalEntry => ({
  id: `${n}-0`,
  kind: "event",
  event: "unit:status:updated",
  keys,
  payload: { n },
  occurredAt: undefined,
  receivedAt: n,
  eventId: undefined,
  own: undefined,
  recovered: undefined,
  wrong: [],
  cad: "cad",
  size,
});

interface Fresh {
  consumer: Consumer;
  noted: (Handled & { entry: string })[];
  cursor(): string | undefined;
  told: { handler: string; from: string; to: string }[];
  lines: ReturnType<typeof keptLog>["lines"];
  /** Asks it to stop, and answers how long that took, ms. */
  stop(): Promise<number>;
}

/** One handler over a journal in memory, of which the first few entries may be gone. */
function start(
  handler: Partial<Handler>,
  entries: JournalEntry[],
  {
    known,
    gone = 0,
    handleMs = 50,
    unreadable = () => undefined,
    unplaceable = () => undefined,
  }: {
    known?: string;
    gone?: number;
    handleMs?: number;
    unreadable?: () => Error | undefined;
    unplaceable?: () => Error | undefined;
  } = {},
): Fresh {
  const kept = () => entries.slice(gone);
  const noted: Fresh["noted"] = [];
  const told: Fresh["told"] = [];
  let cursor = known;
  const journal: JournalReader = {
    async page(id, limit) {
      const wrong = unreadable();
      if (wrong) throw wrong;
      return {
        entries: kept()
          .filter((e) => compareIds(e.id, id) > 0)
          .slice(0, limit),
        more: false,
      };
    },
    bounds: async () => ({ oldest: kept()[0]?.id, newest: entries.at(-1)?.id ?? START, trimmed: gone > 0 }),
    upTo: async (id) => kept().findLast((e) => compareIds(e.id, id) <= 0)?.id,
  };
  const checkpoints: Checkpoints = {
    async cursor() {
      const wrong = unplaceable();
      if (wrong) throw wrong;
      return cursor;
    },
    async note(_handler, outcomes, upTo) {
      noted.push(...outcomes);
      cursor = upTo;
    },
  };
  const over = new AbortController();
  const { log, lines } = keptLog();
  const consumer = createConsumer({
    handler: { name: "test", what: "a test", plan: () => async () => undefined, ...handler },
    journal,
    checkpoints,
    handleMs,
    onSkipped: async (from, to) => void told.push({ handler: "test", from, to }),
    onForged: () => undefined,
    waitMs: () => 1,
    signal: over.signal,
    log,
  });
  const running = consumer.run();
  onTestFinished(() => over.abort());
  return {
    consumer,
    noted,
    told,
    lines,
    cursor: () => cursor,
    async stop() {
      const from = performance.now();
      over.abort();
      await running;
      return performance.now() - from;
    },
  };
}

const neverTheFirst =
  ({ id }: JournalEntry): Task =>
  () =>
    id === "1-0" ? new Promise(() => undefined) : Promise.resolve();

test("a handler that never returns fails at that entry for good, and goes on with the next of the same unit", async () => {
  const { noted, consumer } = start({ plan: neverTheFirst }, [entry(1, ["unit:A"]), entry(2, ["unit:A"])], {
    known: START,
  });
  await until("both are through", () => noted.length === 2, 15_000);
  expect(noted).toMatchObject([
    { entry: "1-0", outcome: "failed", error: expect.stringContaining("50 ms") },
    { entry: "2-0", outcome: "done" },
  ]);
  expect(consumer.status()).toMatchObject({ done: 1, failed: 1, running: 0 });
});

test("a handler that never returns holds no stop, and what others did is noted", async () => {
  const options = { known: START, handleMs: 60_000 };
  const { noted, stop, cursor, consumer } = start({ plan: neverTheFirst }, [entry(1), entry(2)], options);
  await until("the other is through", () => consumer.status().done === 1);
  expect(await stop()).toBeLessThan(900);
  expect(noted.map((n) => n.entry)).toEqual(["2-0"]);
  expect(compareIds(cursor() ?? "", "1-0")).toBeLessThan(0);
});

test("what a handler has begun when it is to stop is let finish for a moment, and noted", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { noted, stop, consumer } = start({ plan: () => () => promise }, [entry(1, [])], { known: START });
  await until("it has begun", () => consumer.status().running === 1);
  const stopping = stop();
  resolve();
  await stopping;
  expect(noted).toMatchObject([{ entry: "1-0", outcome: "done" }]);
});

test.each([
  [
    "throws at once",
    {
      plan: () => () => {
        throw new TypeError("no promise");
      },
    },
  ],
  [
    "cannot say what it makes of an entry",
    {
      plan: () => {
        throw new TypeError("cannot read");
      },
    },
  ],
])("a handler that %s fails at that entry, and it is noted", async (_what, broken) => {
  const { noted, consumer } = start(broken, [entry(1)], { known: START });
  await until("it has failed", () => noted.length === 1, 15_000);
  expect(noted).toMatchObject([{ entry: "1-0", outcome: "failed", error: "TypeError" }]);
  expect(consumer.status()).toMatchObject({ failed: 1 });
});

test("a handler that cannot read on says why for as long as that is so, and once in the log", async () => {
  let wrong: Error | undefined = new SealError("missing-key", "a key is missing");
  const { consumer, lines, noted } = start({}, [entry(1)], { known: START, unreadable: () => wrong });
  await until("it says so", () => consumer.status().reading_problem === "a key is missing");
  const told = () => lines.filter(({ message }) => message.startsWith("a handler cannot read the journal"));
  wrong = new TypeError("not now");
  await until("it has tried again", () => told().length === 2, 5000);
  expect(consumer.status().reading_problem).toBe("TypeError");
  wrong = undefined;
  await until("it has read on", () => noted.length === 1, 5000);
  expect(consumer.status().reading_problem).toBeNull();
  expect(told().map(({ fields }) => fields["reason"])).toEqual(["a key is missing", "TypeError"]);
});

test("the filter of a destination is asked once about each entry, however often its outbox fails", async () => {
  const asked: string[] = [];
  const filter = ({ id }: JournalEntry) => asked.push(id) > 0;
  const rule = { at: "rules[0]", events: ["*"], filter, ownEchoes: true, fields: undefined, once: undefined };
  let appends = 0;
  const { name: _, ...handler } = toDestination({
    destination: { phi: true, id: "board", rules: [rule] },
    outbox: {
      async append({ id }) {
        appends += 1;
        if (appends < 3) throw new TypeError("not now");
        return { outcome: "accepted", id, state: "queued", acceptedAt: 0, runnable: false, due: false };
      },
    },
    sealer: createSealer([]),
    source: "urn:test",
    onRunnable: () => undefined,
    onFilterError: () => undefined,
  });
  const { noted } = start(handler, [entry(1, ["unit:A"]), entry(2, ["unit:A"])], { known: START });
  await until("both are through", () => noted.length === 2, 15_000);
  expect(noted).toMatchObject([{ tries: 3 }, { tries: 1 }]);
  expect(asked).toEqual(["1-0", "2-0"]);
});

test("a handler that the journal has trimmed past is recorded once as having skipped entries", async () => {
  const entries = [1, 2, 3, 4, 5].map((n) => entry(n));
  const { told, noted, consumer } = start({}, entries, { known: "1-0", gone: 3 });
  await until("it is through", () => noted.length === 2);
  expect(told).toEqual([{ handler: "test", from: "1-0", to: "4-0" }]);
  expect(consumer.status()).toMatchObject({ done: 2, skipped: 1 });
});

test.each([
  ["is where the journal still is", "4-0", 3],
  ["is right before the oldest entry", "3-9007199254740991", 3],
  ["is new", undefined, 3],
])("a handler that %s skipped nothing", async (_what, known, gone) => {
  const entries = [1, 2, 3, 4, 5].map((n) => entry(n));
  const { told, consumer } = start({}, entries, { ...(known !== undefined && { known }), gone });
  consumer.written([entry(6)]);
  await until("it has read all there is", () => compareIds(consumer.status().cursor, "5-0") >= 0);
  expect({ told, skipped: consumer.status().skipped }).toEqual({ told: [], skipped: 0 });
});

test("a handler for which nothing is left in the journal skipped what was there", async () => {
  const { told } = start({}, [entry(1), entry(2)], { known: "1-0", gone: 2 });
  await until("it is told", () => told.length === 1);
  expect(told).toEqual([{ handler: "test", from: "1-0", to: "2-0" }]);
});

test("a handler processes few large entries at a time, buffers a few more, and finishes all of them", async () => {
  const entries: JournalEntry[] = [];
  const { promise: letGo, resolve } = Promise.withResolvers<void>();
  const { consumer } = start({ plan: () => () => letGo }, entries, { known: START, handleMs: 60_000 });
  await consumer.placed;
  for (let n = 1; n <= 30; n += 1) {
    entries.push(entry(n, [`unit:U${n}`], 1_000_000));
    consumer.written(entries.slice(-1));
    await new Promise(setImmediate);
  }
  expect(consumer.status().running).toBe(8);
  resolve();
  await until("all are done", () => consumer.status().done === 30);
});

test("a handler that takes long to say what it makes of an entry leaves the others their turn before the next, and at each try", async () => {
  let turn = 0;
  let ticking = setImmediate(function tick() {
    turn += 1;
    ticking = setImmediate(tick);
  });
  onTestFinished(() => clearImmediate(ticking));
  const asked: number[] = [];
  const slow = {
    plan() {
      asked.push(turn);
      for (const from = performance.now(); performance.now() - from < 12;);
      throw new TypeError("too slow");
    },
  };
  const { consumer } = start(
    slow,
    Array.from({ length: 10 }, (_, n) => entry(n + 1)),
    { known: START, handleMs: 60_000 },
  );
  await until("it has failed at all of them", () => consumer.status().failed === 10);
  const inOneTurn = Map.groupBy(asked, (at) => at);
  expect(Math.max(...[...inOneTurn.values()].map((plans) => plans.length))).toBeLessThanOrEqual(2);
});

test("a new handler that has no place yet when the worker stops gets one before what is held is written", async () => {
  const entries: JournalEntry[] = [];
  let away = true;
  const unplaceable = () => (away ? new Error("Redis is away") : undefined);
  const { consumer, cursor, stop } = start({}, entries, { unplaceable });
  await until("placing failed", () => consumer.status().last_error !== null);
  away = false;
  const written = consumer.placed.then(() => {
    entries.push(entry(1));
    return cursor();
  });
  await stop();
  expect(await written).toBe(START);
});
