import { expect, onTestFinished, test } from "vitest";
import { type DestinationAttempt, RECENT, RECENT_FAILED, REASON_LENGTH } from "../../shared/destinations/attempts.ts";
import { until } from "../../tools/support/until.ts";
import { createAttemptsLog } from "../../worker/destinations/attempts-log.ts";

const OK = { result: "ok", status: 204 } as const;
const FAILED = { result: "failed", status: 500, reason: "it answered 500", unreachable: false } as const;
const at = (n: number) => new Date(1_700_000_000_000 + n * 1000);

/** A log on a store that is as the test says: `failing` refuses so many reads and writes. */
function start(before: DestinationAttempt[] = [], failing = 0) {
  const stop = new AbortController();
  const saved: DestinationAttempt[][] = [];
  const noted: string[] = [];
  let fails = failing;
  const orFail = async <T>(value: T): Promise<T> => {
    if (fails > 0) throw new Error(`Redis is away: ${(fails -= 1)}`);
    return value;
  };
  const book = {
    attempts: () => orFail(before),
    saveAttempts: (_id: string, all: readonly DestinationAttempt[]) => orFail(void saved.push([...all])),
  };
  const log = createAttemptsLog("a", book, { note: async (id) => void noted.push(id) }, stop.signal);
  const running = log.run();
  const end = async () => {
    stop.abort();
    await running;
    return saved.at(-1) ?? [];
  };
  onTestFinished(async () => void (await end()));
  return { log, noted, end, saved };
}

test("keeps the last attempts, beside them the last that failed, in the order of their times", async () => {
  const { log, end } = start();
  for (let i = 0; i < 40; i += 1) log.note({ id: `f${i}`, event: "e", number: 1 }, FAILED, at(i), 1);
  for (let i = 40; i < 80; i += 1) log.note({ id: `s${i}`, event: "e", number: 1 }, OK, at(i), 1);
  const all = await end();
  expect(all).toHaveLength(RECENT + RECENT_FAILED);
  expect(all[0]).toMatchObject({ message_id: "f10", response: 500, reason: "it answered 500" });
  expect(all.at(-1)).toMatchObject({ message_id: "s79", response: 204, reason: null });
  expect(all.map((one) => one.at)).toEqual(all.map((one) => one.at).toSorted());
});

test("begins with what the worker before has kept, although Redis is away at first", { timeout: 15_000 }, async () => {
  const old = { at: at(0).toISOString(), response: 204, reason: null, duration_ms: 1 };
  const { log, end, saved } = start([{ ...old, message_id: "old", event: "e", number: 1 }], 2);
  log.note({ id: "new", event: "e", number: 1 }, OK, at(1), 1);
  await until("it is stored", () => saved.length > 0, 10_000);
  expect((await end()).map(({ message_id: id }) => id)).toEqual(["old", "new"]);
});

test("notes at a message what did not succeed at once, with a reason that is bounded", async () => {
  const { log, noted, end } = start();
  log.note({ id: "at-once", event: "e", number: 1 }, OK, at(0), 1.4);
  log.note({ id: "second", event: "e", number: 2 }, OK, at(1), 1);
  log.note({ id: "failed", event: "e", number: 1 }, { ...FAILED, reason: "x".repeat(5000) }, at(2), 1);
  expect(noted).toEqual(["second", "failed"]);
  expect((await end()).map(({ reason }) => reason?.length)).toEqual([undefined, undefined, REASON_LENGTH]);
});
