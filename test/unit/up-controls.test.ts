import { expect, test } from "vitest";
import { obey, parseLine } from "../../tools/up/controls.ts";

const PARTS = ["redis", "simulator", "worker"];

test.each([
  ["freeze worker", { what: "freeze", part: "worker" }],
  ["  STOP   cad ", { what: "stop", part: "simulator" }],
  ["help", { what: "help" }],
  ["", { what: "nothing" }],
  ["freeze", { what: "wrong", why: "freeze what? One of redis, simulator, worker." }],
  ["stop worker redis", { what: "wrong", why: "stop what? One of redis, simulator, worker." }],
  ["constructor worker", { what: "wrong", why: '"constructor" is not a command. Type help.' }],
])("the line %j is understood", (line, asked) => {
  expect(parseLine(line, PARTS)).toEqual(asked);
});

test("executes the action and reports the part's new state", async () => {
  const done: string[] = [];
  const parts = {
    names: () => PARTS,
    state: (name: string) => (done.includes(`stop ${name}`) ? ("stopped" as const) : ("running" as const)),
    act: async (name: string, action: string) => void done.push(`${action} ${name}`),
  };
  expect(await obey("stop cad", parts)).toBe("simulator: stopped");
  expect(await obey("status", parts)).toBe("  redis      running\n  simulator  stopped\n  worker     running");
  expect(await obey("", parts)).toBe("");
});
