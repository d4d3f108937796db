import { expect, test } from "vitest";
import { toIso } from "../../shared/util/time.ts";
import type { OpenConnection } from "../../worker/cad/open-connection.ts";
import { replay } from "../../worker/events/replay.ts";

const HEARD = Date.parse("2026-01-31T22:00:00Z") * 1000;
const event = (n: number) => ({
  event: "unit:status:updated",
  payload: { unitId: "M12", status: "x", eventId: `e-${n}`, occurredAt: toIso(HEARD + n * 1_000_000) },
});

/** A CAD that gives these answers, one after the other, and then is silent. */
async function ask(...answers: unknown[]) {
  const taken: string[] = [];
  const asked: unknown[] = [];
  const connection: OpenConnection = {
    recovered: false,
    ready: Promise.resolve(),
    ended: new AbortController().signal,
    proof: () => Promise.resolve(),
    async ask(_event, payload) {
      asked.push(payload);
      if (asked.length > answers.length) throw new Error("silent");
      return answers[asked.length - 1];
    },
  };
  const missing = await replay({
    connection,
    knownUntil: HEARD,
    since: HEARD - 60_000_000,
    take: async (events) => void taken.push(...events.map((e) => (e.payload as { eventId: string }).eventId)),
  });
  return { missing, taken, asked };
}

const page = (more: boolean, ...numbers: number[]) => ({ events: numbers.map(event), more });

test("pages follow the last event of the one before, and nothing is missing after the last page", async () => {
  const { missing, taken, asked } = await ask(page(true, 1, 2), page(false, 3));
  expect(missing).toBeUndefined();
  expect(taken).toEqual(["e-1", "e-2", "e-3"]);
  expect(asked).toMatchObject([{ since: toIso(HEARD - 60_000_000) }, { after: "e-2" }]);
});

test("a CAD that falls silent between two pages: what came is taken, and from then on something may be missing", async () => {
  const { missing, taken } = await ask(page(true, 1, 2));
  expect(taken).toEqual(["e-1", "e-2"]);
  expect(missing).toEqual({ from: HEARD + 2_000_000, reason: expect.stringContaining("does not answer") });
});

test("one that had forgotten the beginning as well: everything from the beginning on may be missing", async () => {
  const from = toIso(HEARD + 500_000);
  const { missing } = await ask({ ...page(true, 1), complete: false, from });
  expect(missing).toMatchObject({ from: HEARD });
  expect(missing?.to).toBeUndefined();
});

test.each([
  ["one event without an id of its own", { events: [{ event: "x", payload: { unitId: "M12" } }], more: false }],
  ["null", null],
  ["no list", { events: {}, more: false }],
])("an answer with %s is not taken, and told", async (_what, answer) => {
  expect(await ask(answer)).toMatchObject({ taken: [], missing: { from: HEARD, reason: expect.any(String) } });
});

test("a CAD that always claims to have more, and sends nothing new, is not asked again", async () => {
  const { missing, asked } = await ask(page(true, 1), page(true, 1), page(true, 1));
  expect(asked).toHaveLength(2);
  expect(missing?.from).toBeDefined();
});
