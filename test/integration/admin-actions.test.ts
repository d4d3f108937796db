import { afterAll, beforeAll, expect, test } from "vitest";
import { may } from "../../shared/vocabulary/roles.ts";
import { type Bridge, startBridge, tokens } from "../support/bridge.ts";
import { appRoutes } from "../support/routes.ts";
import { testRedis } from "../support/redis.ts";

/** Whatever an administrator does to something that has an id: a route that is added is here by that. */
const actions = appRoutes().filter(
  ({ name, method, takes }) =>
    method !== "GET" &&
    name.includes("{id}") &&
    takes !== undefined &&
    takes !== "public" &&
    !may(["dispatcher"], takes),
);

const ends: (() => Promise<void>)[] = [];
let bridge: Bridge;
beforeAll(async () => {
  bridge = await startBridge({ worker: false, functions: {}, atEnd: (end) => void ends.push(end) });
}, 60_000);
afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

interface Entry {
  action: string;
  outcome: string;
  command_id: string | null;
}
const entriesOf = async (action: string, id: string) =>
  ((await bridge.get(`/audit?limit=500&action=${encodeURIComponent(action)}`)).body["entries"] as Entry[])
    .filter((entry) => entry.command_id === id)
    .map(({ outcome }) => outcome);

test("there are actions of each kind", () => {
  const names = actions.map(({ name }) => name.split("/").at(-1));
  expect(names).toEqual(expect.arrayContaining(["redrive", "reveal", "{id}", "enable", "pause", "test", "replay"]));
});

const IDS = ["00000000-0000-4000-8000-000000000000", "1700000000000-0", "a%2Fb", "__proto__"];
const asked = actions.flatMap((action) => IDS.map((id) => ({ ...action, id })));

test.each(asked)("$name of the made-up id $id is 404, changes nothing, and is noted as not found", async (action) => {
  const { name, method, path, body, id } = action;
  const before = await testRedis().keys(`{${bridge.prefix}}:*`);
  const answer = await fetch(`${bridge.url}${path.replace("nobodys", id)}`, {
    method,
    headers: { Authorization: `Bearer ${tokens.admin}`, "Content-Type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  expect([answer.status, await answer.json()]).toMatchObject([404, { code: "not-found" }]);
  const outcomes = await entriesOf(name, decodeURIComponent(id));
  expect(outcomes.filter((outcome) => outcome !== "requested" && outcome !== "not-found")).toEqual([]);
  // Of a reveal one an hour is written; every other end belongs to the begin that was noted.
  if (!name.endsWith("/reveal")) expect(outcomes).toEqual(["not-found", "requested"]);
  const counts = await testRedis().hget(`{${bridge.prefix}}:cad:audit:counts`, `not-found ${name}`);
  expect(Number(counts)).toBeGreaterThan(0);
  const after = await testRedis().keys(`{${bridge.prefix}}:*`);
  expect(after.filter((key) => !before.includes(key) && !/:audit|:limit:/.test(key))).toEqual([]);
});
