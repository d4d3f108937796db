import { expect, test, vi } from "vitest";
import { startBarriers } from "../../worker/cad/barriers.ts";
import { until } from "../../tools/support/until.ts";

const proven = (proof: Promise<void>) => {
  const state = { done: false };
  void proof.then(() => (state.done = true));
  return state;
};

function fresh(times: { timeoutMs?: number; idleMs?: number } = {}) {
  const onItsWay: (() => void)[] = [];
  const onHang = vi.fn<() => void>();
  const barriers = startBarriers({
    send: (answered) => onItsWay.push(answered),
    timeoutMs: times.timeoutMs ?? 60_000,
    idleMs: times.idleMs ?? 60_000,
    onHang,
  });
  const answerNext = async () => {
    onItsWay.shift()?.();
    await Promise.resolve();
  };
  return { barriers, onItsWay, onHang, answerNext };
}

test("two answers in a row prove that everything before was received, one does not", async () => {
  const { barriers, onItsWay, answerNext } = fresh();
  const proof = proven(barriers.proof());
  await answerNext();
  expect(proof.done).toBe(false);
  await answerNext();
  expect(proof.done).toBe(true);
  expect(onItsWay).toHaveLength(0);
  barriers.stop();
});

test("a barrier that was on its way before the emit does not count", async () => {
  const { barriers, answerNext } = fresh();
  proven(barriers.proof());
  const later = proven(barriers.proof());
  await answerNext();
  await answerNext();
  expect(later.done).toBe(false);
  await answerNext();
  expect(later.done).toBe(true);
  barriers.stop();
});

test("one barrier on its way serves all that wait", async () => {
  const { barriers, onItsWay } = fresh();
  for (let i = 0; i < 100; i += 1) void barriers.proof();
  expect(onItsWay).toHaveLength(1);
  barriers.stop();
});

test("a CAD that does not answer is reported as hanging, even without traffic", async () => {
  const { barriers, onHang } = fresh({ idleMs: 10, timeoutMs: 20 });
  await until("it is told", () => onHang.mock.calls.length > 0);
  barriers.stop();
});

test("after a stop no barrier goes out", () => {
  const { barriers, onItsWay } = fresh();
  barriers.stop();
  void barriers.proof();
  expect(onItsWay).toHaveLength(0);
});
