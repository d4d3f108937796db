import { expect, test, vi } from "vitest";
import { startFences } from "../../worker/cad/barriers.ts";
import { until } from "../../tools/support/until.ts";

const proven = (proof: Promise<void>) => {
  const state = { done: false };
  void proof.then(() => (state.done = true));
  return state;
};

function fresh(times: { timeoutMs?: number; idleMs?: number } = {}) {
  const onItsWay: (() => void)[] = [];
  const onHang = vi.fn<() => void>();
  const fences = startFences({
    send: (answered) => onItsWay.push(answered),
    timeoutMs: times.timeoutMs ?? 60_000,
    idleMs: times.idleMs ?? 60_000,
    onHang,
  });
  const answerNext = async () => {
    onItsWay.shift()?.();
    await Promise.resolve();
  };
  return { fences, onItsWay, onHang, answerNext };
}

test("two answers in a row prove that everything before was received, one does not", async () => {
  const { fences, onItsWay, answerNext } = fresh();
  const proof = proven(fences.proof());
  await answerNext();
  expect(proof.done).toBe(false);
  await answerNext();
  expect(proof.done).toBe(true);
  expect(onItsWay).toHaveLength(0);
  fences.stop();
});

test("a fence that was on its way before the emit does not count", async () => {
  const { fences, answerNext } = fresh();
  proven(fences.proof());
  const later = proven(fences.proof());
  await answerNext();
  await answerNext();
  expect(later.done).toBe(false);
  await answerNext();
  expect(later.done).toBe(true);
  fences.stop();
});

test("one fence on its way serves all that wait", async () => {
  const { fences, onItsWay } = fresh();
  for (let i = 0; i < 100; i += 1) void fences.proof();
  expect(onItsWay).toHaveLength(1);
  fences.stop();
});

test("a CAD that does not answer is told as hanging, without any traffic", async () => {
  const { fences, onHang } = fresh({ idleMs: 10, timeoutMs: 20 });
  await until("it is told", () => onHang.mock.calls.length > 0);
  fences.stop();
});

test("after a stop no fence goes out", () => {
  const { fences, onItsWay } = fresh();
  fences.stop();
  void fences.proof();
  expect(onItsWay).toHaveLength(0);
});
