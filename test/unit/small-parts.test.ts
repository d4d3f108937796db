import { describe, expect, test } from "vitest";
import { z } from "zod";
import { historyQuery } from "../../functions/routes/events.ts";
import { commandTtl, idempotencyKey, MAX_WAIT_S, preferredWait } from "../../functions/http/command-headers.ts";
import { backoffMs } from "../../shared/util/backoff.ts";
import { batched } from "../../shared/util/batch.ts";
import { withoutCredentials } from "../../shared/health/worker-health.ts";
import { location } from "../../shared/vocabulary/fields.ts";
import { wrongFields } from "../../functions/http/problem.ts";
import { redisFault } from "../../shared/redis/fault.ts";
import { may, ROLES } from "../../shared/vocabulary/roles.ts";
import { secondsBetween, toIso } from "../../shared/util/time.ts";
import {
  CAD_TIME_COLUMNS,
  TIMESTAMP_FIELD_NAMES,
  toCadColumn,
  toMetresPerSecond,
} from "../../shared/vocabulary/cad-vocabulary.ts";

describe("request headers of commands", () => {
  test.each([
    ["wait=5", 5],
    ["respond-async, wait=5", 5],
    ["WAIT = 7; x=1", 7],
    ['wait="3"', 3],
    ["wait=0", 0],
    ["wait=31", MAX_WAIT_S],
    ["wait=-1", undefined],
    ["wait=abc", undefined],
    ["await=5", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("Prefer: %s is a wait of %s s", (value, seconds) => expect(preferredWait(value)).toBe(seconds));

  test("an Idempotency-Key is 1 to 255 printable ASCII characters", () => {
    expect(idempotencyKey('~ any, printable "text"')).toBe('~ any, printable "text"');
    expect(idempotencyKey(undefined)).toBeUndefined();
    for (const bad of ["", "a\tb", "é", "x".repeat(256)]) expect(() => idempotencyKey(bad)).toThrow(/printable/);
  });

  test("a Command-TTL is whole seconds up to a week", () => {
    expect(commandTtl("604800")).toBe(604_800);
    for (const bad of ["604801", "0", "1e3", " 5", ""]) expect(() => commandTtl(bad)).toThrow(/whole seconds/);
  });
});

describe("backoff", () => {
  test("doubles up to its limit, half of it at random", () => {
    const waits = [1, 2, 3, 4, 5, 6, 100].map((attempt) => backoffMs(attempt, 250, 5000, () => 1));
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000]);
    expect(backoffMs(3, 250, 5000, () => 0)).toBe(500);
  });
});

describe("batches", () => {
  test("items added while a batch is in flight are sent together, and each gets its own answer", async () => {
    const batches: number[][] = [];
    const double = batched(async (items: number[]) => {
      batches.push(items);
      await Promise.resolve();
      return items.map((n) => n * 2);
    }, 3);
    expect(await Promise.all([1, 2, 3, 4, 5].map(double))).toEqual([2, 4, 6, 8, 10]);
    expect(batches).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
    expect(await double(6)).toBe(12);
  });

  test("a failed batch rejects its own items only", async () => {
    let calls = 0;
    const flaky = batched(async (items: number[]) => {
      calls += 1;
      if (calls === 1) throw new Error("away");
      return items;
    }, 2);
    const results = await Promise.allSettled([1, 2, 3].map(flaky));
    expect(results.map((r) => r.status)).toEqual(["rejected", "rejected", "fulfilled"]);
  });
});

describe("roles", () => {
  test("a role includes the rights of all lower roles", () => {
    const table = ROLES.map((role) => ROLES.map((takes) => may([role], takes)));
    expect(table).toEqual([
      [true, true, true],
      [false, true, true],
      [false, false, true],
    ]);
    expect(may(["crew", "dispatcher"], "dispatcher")).toBe(true);
  });
});

describe("vocabulary", () => {
  test("every time field of the API is a column that the CAD has", () => {
    for (const field of TIMESTAMP_FIELD_NAMES) expect(CAD_TIME_COLUMNS).toContain(toCadColumn(field));
    expect(toCadColumn("time_en_route")).toBe("time_en_route");
    expect(toCadColumn("enroute_at")).toBe("time_en_route");
  });
  test("km/h become m/s", () => expect([0, 36, 54.1].map(toMetresPerSecond)).toEqual([0, 10, 15.03]));
});

describe("parsing of locations", () => {
  const at = { type: "Point", coordinates: [-122.4, 37.7] };
  test.each([{ lat: 37.7, lng: -122.4 }, { latitude: 37.7, longitude: -122.4 }, at])("%j is one place", (given) =>
    expect(location.parse(given)).toEqual(at),
  );
  test.each([
    [{ lat: 37.7, lng: 200 }, "/lng"],
    [{ latitude: 37.7 }, "/longitude"],
    [{ type: "Point", coordinates: [-122.4, 95] }, "/coordinates/1"],
    [{ type: "Polygon", coordinates: [-122.4, 37.7] }, "/type"],
    ["here", ""],
  ])("of %j the fault is named where it is: %s", (given, pointer) => {
    const parsed = location.safeParse(given);
    expect(wrongFields(parsed.error?.issues ?? []).map((f) => f.pointer)).toEqual([pointer]);
  });
});

describe("repeated query parameters", () => {
  test.each([
    [{ kind: "foo" }, "/kind", /"event"/],
    [{ kind: ["event", "foo"] }, "/kind/1", /"event"/],
    [{ unit: "" }, "/unit", />=1/],
    [{ unit: ["M12", ""] }, "/unit/1", />=1/],
  ])("of %j it is told where the fault is, and what may stand there", (query, at, detail) => {
    const { error } = historyQuery.safeParse(query);
    expect(wrongFields(error?.issues ?? [])).toEqual([{ pointer: at, detail: expect.stringMatching(detail) }]);
  });
});

test("a pointer escapes what JSON pointers must escape", () => {
  const parsed = z.strictObject({}).safeParse({ "a/b": 1, "c~d": 1 });
  expect(wrongFields(parsed.error?.issues ?? []).map((f) => f.pointer)).toEqual(["/a~1b", "/c~0d"]);
});

describe("parsing of times", () => {
  test("keep their microseconds, and sort as text", () => {
    expect(toIso(1_795_376_343_561_606)).toBe("2026-11-22T19:39:03.561606Z");
    expect(toIso(1_795_376_343_000_007)).toBe("2026-11-22T19:39:03.000007Z");
  });
  test("an age is never negative", () =>
    expect([secondsBetween(5_000_000, 0), secondsBetween(0, 1_234_567)]).toEqual([0, 1.235]));
});

test("parts of a URL that may be secret are never shown", () => {
  expect(withoutCredentials("https://user:pass@cad.example:8443/path?token=x#y")).toBe("https://cad.example:8443");
  expect(withoutCredentials("rediss+cluster://user:pass@redis.example/2?node=x")).toBe(
    "rediss+cluster://redis.example",
  );
  expect(withoutCredentials("nonsense")).toBe("(not a URL)");
});

test.each([
  "Connection is closed.",
  "Command timed out",
  "Stream isn't writeable and enableOfflineQueue options is false",
  "Cluster isn't ready and enableOfflineQueue options is false",
  "Cluster is disconnected.",
  "None of startup nodes is available",
  "Node is disconnected",
  "Socket timeout. Expecting data, but didn't receive any in 1500ms.",
  "Too many Cluster redirections. Last error: ReplyError: CLUSTERDOWN The cluster is down",
  "CLUSTERDOWN The cluster is down",
  "READONLY You can't write against a read only replica.",
])("that Redis is not there is known by what its client says of it: %s", (message) => {
  expect(redisFault(new Error(message))).toBe("unavailable");
});
