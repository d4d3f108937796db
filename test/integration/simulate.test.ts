import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { planSchedule, type Schedule } from "../../tools/simulate/plan/schedule.ts";
import { runScript } from "../../tools/setup/run-script.ts";

const LONG_MS = 400_000;
const simulate = (...args: string[]) => runScript("tools/simulate/main.ts", args, {}).ended;

async function digests(seed: number): Promise<string[] | null> {
  const { output } = await simulate("--schedules", "5", "--seed", String(seed), "--digests");
  return output.match(/^digest .*$/gm);
}

/** What the simulation has found, made small. */
const FOUND: readonly (readonly [what: string, schedule: Schedule])[] = [
  [
    "a batch of the journal that a broken connection sends again is written once",
    {
      ...{ seed: 1, cad: "legacy", workers: 1, events: [] },
      commands: [
        {
          ...{ number: 0, at: 1500, kind: "units/status", user: "crew-1", role: "crew" },
          body: { unit_id: "M1", status: "enroute" },
        },
      ],
      faults: [{ step: "journalWrite", nth: 1, fault: "lost reply", ms: 200 }],
    },
  ],
  [
    "a destination that is new when Redis restarts gets what was written as its first worker ended",
    {
      seed: 344,
      cad: "legacy",
      workers: 1,
      services: 2,
      commands: [
        {
          number: 0,
          at: 363,
          kind: "transport/completed",
          body: { incident_id: "INC-1", epcr_id: "EPCR-5" },
          user: "crew-2",
          role: "crew",
        },
      ],
      events: [
        { at: 1327, event: "unit:status:updated", payload: { unitId: "M2", status: "available", by: "terminal 0" } },
      ],
      faults: [
        { step: "get", nth: 1, fault: "redis restart", ms: 2877 },
        { step: "xinfo", nth: 1, fault: "lost write", ms: 3138 },
        { step: "historyPush", nth: 2, fault: "redis restart", ms: 2506 },
      ],
    },
  ],
];

const sizeOf = ({ commands, events, faults }: Schedule) => commands.length + events.length + faults.length;

async function replay(schedule: string, ...more: string[]): Promise<string> {
  const file = join(mkdtempSync(join(tmpdir(), "schedule-")), "schedule.json");
  writeFileSync(file, schedule);
  return (await simulate("--replay", file, ...more)).output;
}

test.each(FOUND)("%s", { timeout: LONG_MS }, async (_, schedule) => {
  const output = await replay(JSON.stringify(schedule));
  expect(output).not.toContain("FAILED");
  expect(output).toMatch(/^holds/m);
});

test("every schedule of a fixed set holds", { timeout: LONG_MS }, async () => {
  const { code, output } = await simulate("--schedules", "100", "--seed", "1");
  expect(output).toContain("every schedule holds");
  expect(code).toBe(0);
});

test("a seed gives the same run twice, byte for byte, and another seed another run", { timeout: LONG_MS }, async () => {
  const first = await digests(7);
  expect(first).toHaveLength(5);
  expect(await digests(7)).toEqual(first);
  expect(await digests(8)).not.toEqual(first);
});

test(
  "a failure prints its seed and a smaller schedule, which fails with the bug and holds without it",
  { timeout: LONG_MS },
  async () => {
    const mutant = ["--mutant", "webhook-settled-before-post"];
    const { code, output } = await simulate("--schedules", "100", "--processes", "1", ...mutant);
    expect(code).toBe(1);
    expect(output).toMatch(/^FAILED {2}seed \d+$/m);
    const [schedule = ""] = output.match(/^\{.*\}$/m) ?? [];
    const smaller = JSON.parse(schedule) as Schedule;
    expect(sizeOf(smaller)).toBeLessThan(sizeOf(planSchedule(Number(/seed (\d+)/.exec(output)?.[1]))));
    expect(await replay(schedule, ...mutant)).toMatch(/^FAILED, digest/m);
    expect(await replay(schedule)).toMatch(/^holds, digest/m);
  },
);

test("recorded schedules reveal seeded bugs, and hold without them", { timeout: LONG_MS }, async () => {
  const bugs = ["settle-before-emit", "append-twice", "lease-not-checked", "sleeps-without-look"];
  const { code, output } = await simulate("--mutants", ...bugs);
  for (const bug of bugs) expect(output).toMatch(new RegExp(`^found +${bug} +recorded, seed \\d+`, "m"));
  expect(output).toContain("4 found, 0 survive");
  expect(code).toBe(0);
});
