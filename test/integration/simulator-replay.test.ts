import { expect, it } from "vitest";
import type { ReplayAnswer } from "../../tools/simulator/history.ts";
import { connect, start } from "../support/simulated-cad.ts";

const EVENT = "unit:status:updated";
const EARLIER = "2026-01-01T00:00:00Z";
type Page = Extract<ReplayAnswer, { more: boolean }>;

const idsOf = (page: Page) => page.events.map(({ payload }) => (payload as { n: number }).n);
const lastOf = (page: Page) => (page.events.at(-1)?.payload as { eventId: string } | undefined)?.eventId;

it("a modern CAD marks every broadcast that is an object, and replays it unchanged, page by page", async () => {
  const cad = await start({ character: "modern" });
  const probe = await connect(cad);
  const ask = async (asked: object) => (await probe.socket.emitWithAck("events:replay", asked)) as Page;
  for (let n = 1; n <= 5; n += 1) cad.broadcast(EVENT, { n });
  cad.broadcast(EVENT, "no object");
  const first = await ask({ since: EARLIER, limit: 2 });
  expect({ ids: idsOf(first), more: first.more }).toEqual({ ids: [1, 2], more: true });
  expect(first.events.map((e) => e.payload)).toEqual(probe.heard(EVENT).slice(0, 2));
  const second = await ask({ since: EARLIER, limit: 2, after: lastOf(first) });
  const third = await ask({ since: EARLIER, limit: 2, after: lastOf(second) });
  expect([idsOf(second), idsOf(third), second.more, third.more]).toEqual([[3, 4], [5], true, false]);
});

it("a modern CAD replays what is since then, over its own restart too, and to a room only for who is in it", async () => {
  const cad = await start({ character: "modern" });
  cad.broadcast(EVENT, { n: 1 });
  const at = new Date(Date.now() + 1).toISOString();
  while (new Date().toISOString() <= at) await new Promise((resolve) => setImmediate(resolve));
  cad.broadcast(EVENT, { n: 2 });
  cad.broadcast(EVENT, { n: 3 }, "unit:E39");
  await cad.restart();
  const probe = await connect(cad);
  const ask = async () => {
    const page = (await probe.socket.emitWithAck("events:replay", { since: at })) as Page;
    expect(page.complete).toBe(true);
    return idsOf(page);
  };
  expect(await ask()).toEqual([2]);
  await probe.socket.emitWithAck("join:unit", "E39");
  expect(await ask()).toEqual([2, 3]);
});

it("a modern CAD says what it does not remember, and refuses what it cannot read or find", async () => {
  const cad = await start({ character: "modern", switches: { remembers: 2 } });
  const probe = await connect(cad);
  for (let n = 1; n <= 5; n += 1) cad.broadcast(EVENT, { n });
  const page = (await probe.socket.emitWithAck("events:replay", { since: EARLIER })) as Page;
  expect(idsOf(page)).toEqual([4, 5]);
  expect(page).toMatchObject({ complete: false, from: expect.any(String) });
  for (const asked of [null, { since: "yesterday" }, { since: EARLIER, limit: 0 }, { since: EARLIER, after: "gone" }])
    expect(await probe.socket.emitWithAck("events:replay", asked)).toEqual({
      success: false,
      error: expect.any(String),
    });
});

it("a legacy CAD does neither", async () => {
  const cad = await start({ character: "legacy" });
  const probe = await connect(cad);
  cad.broadcast(EVENT, { n: 1 });
  await expect(probe.socket.timeout(200).emitWithAck("events:replay", { since: EARLIER })).rejects.toThrow();
  expect(probe.heard(EVENT)).toEqual([{ n: 1 }]);
});
