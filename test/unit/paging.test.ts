import { expect, onTestFinished, test } from "vitest";
import { found, type Problem } from "../../shared/health/problems.ts";
import { changesOf, type Look } from "../../worker/paging/changes.ts";
import { createSealer } from "../../shared/sealing/seal.ts";
import { openPageStore } from "../../worker/paging/page-store.ts";
import { sendAlert } from "../../worker/paging/alert-sender.ts";
import { startHttp } from "../support/http-sink.ts";
import { freshBackend } from "../support/redis.ts";

const NOW = Date.parse("2026-01-31T22:00:00Z");
const problem = (secondsAgo: number): Problem => ({
  ...found("cad-disconnected", {}),
  since: new Date(NOW - secondsAgo * 1000).toISOString(),
});
const AWAY = problem(20);
const ID = "cad-disconnected";
const look = (more: Partial<Look>): Look => ({
  present: [],
  open: [],
  absent: new Map(),
  now: NOW,
  ledSince: NOW - 3_600_000,
  afterMs: 10_000,
  ...more,
});

test.each<[string, Partial<Look>, string[]]>([
  ["nothing is wrong", {}, []],
  ["a problem that is new", { present: [problem(9)] }, []],
  ["one that has been there long enough", { present: [AWAY] }, ["opened"]],
  ["one that was reported", { present: [AWAY], open: [AWAY] }, []],
  ["one that is gone since a moment", { open: [AWAY], absent: new Map([[ID, NOW - 9000]]) }, []],
  ["one that has been gone long enough", { open: [AWAY], absent: new Map([[ID, NOW - 10_000]]) }, ["resolved"]],
  [
    "one of the leader before, which this one may detect again",
    { open: [AWAY], absent: new Map([[ID, NOW - 10_000]]), ledSince: NOW - 15_000 },
    [],
  ],
  [
    "one of the leader before, which this one would have detected by now",
    { open: [problem(90)], absent: new Map([[ID, NOW - 60_000]]), ledSince: NOW - 60_000 },
    ["resolved"],
  ],
])("%s: what is reported", (_name, given, kinds) => {
  expect(changesOf(look(given)).changes.map(({ kind }) => kind)).toEqual(kinds);
});

test("a problem that comes back while its end is waited for was never gone", () => {
  const { absent } = changesOf(look({ open: [AWAY] }));
  expect(absent.get(ID)).toBe(NOW);
  expect(changesOf(look({ open: [AWAY], present: [AWAY], absent })).absent.size).toBe(0);
});

test("a change is noted once, by whoever leads, and waits for each receiver until it is done", async () => {
  const { redis, keys } = freshBackend();
  await redis.set(keys.lease, "1:a");
  const store = openPageStore(redis, keys, createSealer([]), "1:a", () => undefined);
  const late = openPageStore(redis, keys, createSealer([]), "0:b", () => undefined);
  const opened = [{ kind: "opened" as const, problem: AWAY }];
  expect(await late.note(opened, "t", true)).toBe(false);
  expect(await store.note(opened, "t", true)).toBe(true);
  expect(await store.note(opened, "t2", true)).toBe(true);
  expect(await store.open()).toEqual([AWAY]);
  const next = await store.next("journal");
  expect(next?.page).toEqual({ n: 1, kind: "opened", at: "t", problem: AWAY });
  await store.done("journal", next?.text ?? "");
  expect(await store.next("journal")).toBeUndefined();
  expect((await store.next("alert"))?.page.n).toBe(1);
  await store.note([{ kind: "resolved", problem: AWAY }], "t3", false);
  expect(await store.open()).toEqual([]);
  expect((await store.next("journal"))?.page).toMatchObject({ n: 2, kind: "resolved" });
  expect(await redis.llen(`${keys.base}:pages:alert`)).toBe(1);
});

test("an Alertmanager gets an alert that ends, any other URL the problem; a refusal is a reason without the URL", async () => {
  const sink = await startHttp();
  onTestFinished(sink.stop);
  const page = { n: 7, kind: "resolved", at: "2026-01-31T22:05:00.000Z", problem: AWAY } as const;
  expect(await sendAlert({ url: `${sink.url}/api/v2/alerts`, bridge: "b" }, page)).toBeUndefined();
  expect(await sendAlert({ url: `${sink.url}/hook/secret`, bridge: "b" }, page)).toBeUndefined();
  const [alert, hook] = sink.requests;
  expect(alert?.body).toMatchObject([
    {
      labels: { alertname: "SocketBridgeCadDisconnected", severity: "warning", bridge: "b" },
      startsAt: AWAY.since,
      endsAt: page.at,
    },
  ]);
  expect(hook).toMatchObject({
    headers: { "idempotency-key": "b-7" },
    body: { type: "bridge:problem:resolved", problem: { code: ID } },
  });
  sink.answer(500);
  expect(await sendAlert({ url: `${sink.url}/hook/secret`, bridge: "b" }, page)).toBe("it answered 500");
  await sink.stop();
  expect(await sendAlert({ url: `${sink.url}/hook/secret`, bridge: "b" }, page)).toMatch(/^it cannot be reached \(/);
});
